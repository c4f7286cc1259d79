"""Alerts on Zulip, with its real client and a stand-in for the backend: a topic per problem, edits, reactions."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.tracker import TrackedIssue
from tests.fakes.zulip_server import BOT, Refusal, ZulipMessage, ZulipServer
from tests.networks import GOLDEN, golden
from tests.servers.zulip_bot import ZulipBot
from tests.system.network_world import OWNER, NetworkWorld, subscribe
from tests.waiting import until

ANN, BOB = 8, 9
HOSTILE = "@**all** @*dev* #**web** *it* [pay](https://evil.example) :smile: shop.py `now` &amp; <time:1> $$x$$ ~~a~~"


class World(NetworkWorld):
    """Zulip, Sentry, and the bot between them. The settings have the channel in another spelling."""

    def __init__(self, folder: Path, ends: ExitStack, **settings: Any) -> None:
        super().__init__(ends)
        self.zulip = ZulipServer()
        ends.enter_context(self.zulip)
        self.bot = ZulipBot(
            folder,
            self.zulip,
            **{
                **self.settings,
                "SENTRY_ALERTS": [{"rooms": ["#**Ops**"], "mention": "@**Bob**"}],
                "SENTRY_ROOM_PROJECTS": {"ops": ["shop"], "direct": ["shop"]},
                **settings,
            },
        )
        self.webhook = self.bot.webhook
        ends.enter_context(self.bot.process)
        until(lambda: self.zulip.queues.count == 2, 60, "the backend waits for messages, and we for reactions")

    def said(self, pattern: str) -> list[ZulipMessage]:
        """What the bot has said so far."""
        return [each for each in self.zulip.messages if each.sender == BOT and re.search(pattern, read(each))]

    def wait_for(self, pattern: str, topic: str | None = None) -> ZulipMessage:
        """What the bot said (in this topic of `ops`, where one is given), waiting for it."""
        place = None if topic is None else ("ops", topic)
        return self.wait_for_one(
            lambda: self.said(pattern), lambda each: place in (None, (each.channel, each.topic)), pattern
        )

    def notification(self, issue: TrackedIssue) -> ZulipMessage:
        """An issue is new, and the channel is notified."""
        self.hook(issue)
        message = self.wait_for(rf"New.* in shop: `{issue.short_id}`")
        self.bot.process.wait_until_stored(str(message.id))
        return message

    def wait_for_mark(self, message: ZulipMessage, mark: str) -> None:
        until(lambda: read(message).endswith(mark), 60, lambda: f"{mark!r} at the end of {message.contents}")


def read(message: ZulipMessage) -> str:
    """What people read, without what nobody sees; our own Markdown stays."""
    return html.unescape(message.content).replace("\u200b", "")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., World]]:
    with ExitStack() as ends:
        yield lambda **settings: World(tmp_path, ends, **settings)


def test_a_topic_for_each_problem_and_who_acts_there(start: Callable[..., World]) -> None:
    """The update, the edit, a reaction by a writer and by somebody who may not, commands without REF, a picture."""
    world = start()
    zulip, issue = world.zulip, world.issue(HOSTILE)
    first = world.notification(issue)
    topic = first.topic
    assert (first.channel, len(f"✔ {topic}") <= 60) == ("ops", True)
    assert topic.startswith(f"{issue.short_id} KeyError: @**all**")
    assert first.content.startswith("@**Bob** **New** in shop: ")
    assert HOSTILE in read(first)
    written = first.content.removeprefix("@**Bob**")
    assert not re.search(r"@_?\*|#\*\*|\]\(https|:smile:|shop\.py|<time|\$\$|~~", written)
    other = world.notification(world.issue("another"))
    assert other.topic != topic

    world.hook(issue, "assigned", assignedTo={"type": "user", "id": "1", "name": "Dora", "email": "d@example.com"})
    world.wait_for(rf"^`{issue.short_id}` assigned to Dora by Carol", topic)
    world.wait_for_mark(first, "assigned to Dora by Carol")

    zulip.react(BOB, first, "check")
    refused = world.wait_for("SENTRY_WRITERS")
    assert (refused.channel, sorted(refused.to)) == ("", [BOT, BOB]), "bob alone reads that he may not"
    zulip.react(ANN, first, "eyes")  # not linked: nobody to assign to
    world.wait_for("You haven't linked a server account")
    assert (issue.status, len(first.contents)) == ("unresolved", 2)
    zulip.react(ANN, first, "check")
    world.wait_for_mark(first, "resolved by Ann")
    assert issue.status == "resolved"
    zulip.react(ANN, first, "check", "remove")
    zulip.react(ANN, first, "check")
    zulip.react(ANN, zulip.say(ANN, "not the bot's", "ops", topic), "check")

    # People resolve the topic, which renames it; what comes later follows.
    for each in zulip.in_topic("ops", topic):
        each.topics.append(f"✔ {topic}")
    world.hook(issue, "archived")
    world.wait_for(rf"^`{issue.short_id}` archived by Carol", f"✔ {topic}")
    zulip.say(BOB, "!sentry issue", "ops", f"✔ {topic}")
    world.wait_for("resolved.*error", f"✔ {topic}")
    zulip.say(BOB, f"!sentry issue {issue.short_id}", "web", "lunch")
    assert world.wait_for("not found here").channel == "web"
    zulip.say(ANN, "!sentry graph", "ops", f"✔ {topic}")
    picture = until(lambda: next(iter(zulip.uploads.items()), None), 60, "a chart on Zulip")
    assert picture[1].startswith(b"\x89PNG")
    until(lambda: [each for each in zulip.in_topic("ops", f"✔ {topic}") if picture[0] in each.content], 60, "its link")
    zulip.say(ANN, "!sentry whoami")
    world.wait_for(re.escape("(`ann@zulip.test`)"))
    zulip.say(ANN, "!sentry status", "ops", "lunch")
    world.wait_for("zulip.*confirms, threads, edits, reactions, files", "lunch")
    subscribe(world.tracker, lambda line: zulip.say(BOB, line), lambda pattern: read(world.wait_for(pattern)))
    mine = world.issue("for bob")
    world.hook(mine, assignedTo=OWNER)
    alone = until(lambda: next((each for each in world.said(f"New.*{mine.short_id}") if not each.channel), None), 60)
    assert sorted(alone.to) == [BOT, BOB]
    assert len(world.said("resolved by Ann")) == 1, "the same click, taken back and made again, runs once"


def test_nothing_refused_is_delivered_and_a_restart_knows_the_alerts(start: Callable[..., World]) -> None:
    world = start(SENTRY_ALERTS=[{"rooms": ["ops"], "mention": "@**all**"}])
    zulip = world.zulip
    first = world.notification(world.issue())
    refusals = [
        Refusal("STREAM_DOES_NOT_EXIST", "Channel 'ops' does not exist"),
        Refusal("BAD_REQUEST", "Not authorized to send to channel 'ops'"),
        Refusal("INVALID_API_KEY", "Invalid API key", 401),
        Refusal("RATE_LIMIT_HIT", "API usage exceeded rate limit", 429, **{"retry-after": 1.5}),
        Refusal("INTERNAL", "It failed", 500),
    ]
    for refusal in refusals:
        issue = world.issue(f"refused with {refusal.answer['code']}")
        before = len(zulip.called("POST messages"))
        zulip.refuse("POST messages", refusal, times=2)
        world.hook(issue)
        world.wait_for(rf"New.*{issue.short_id}")
        assert len(zulip.called("POST messages")) == before + 3
        assert len(world.said(issue.short_id)) == 1
    assert "retry-after" not in world.bot.process.log

    alone = world.issue("without a mention")
    zulip.refuse("POST messages", Refusal("STREAM_WILDCARD_MENTION_NOT_ALLOWED", "You do not have permission"))
    world.hook(alone)
    assert not world.wait_for(rf"New.*{alone.short_id}").content.startswith("@")

    lost = world.issue("its answer is lost")
    zulip.lose_answer("POST messages")
    world.hook(lost)
    until(lambda: len(world.said(lost.short_id)) == 2, 60, "it is sent again, once")
    zulip.offline = True
    away = world.issue("while Zulip was away")
    world.hook(away)
    world.bot.process.wait_for_log("no events from Zulip")
    zulip.offline = False
    world.wait_for(rf"New.*{away.short_id}")
    assert len(world.said(lost.short_id)) == 2
    assert len(world.said(away.short_id)) == 1

    world.bot.process.stop()
    zulip.queues.forget()
    world.bot.process.start()
    until(lambda: zulip.queues.count == 2, 60, "the bot waits for reactions")
    zulip.react(ANN, first, "mute")
    world.wait_for_mark(first, "silenced for 1h by Ann")
    zulip.queues.forget()
    until(lambda: zulip.queues.count == 2, 60, "both wait for events again")
    zulip.react(ANN, first, "check")
    world.wait_for_mark(first, "resolved by Ann")


def test_an_account_that_is_refused_for_a_while_loses_nothing(start: Callable[..., World]) -> None:
    world = start()
    world.lose_token(
        lambda: world.zulip.refuse("POST messages", Refusal("USER_DEACTIVATED", "Deactivated", 401), times=3),
        lambda: None,
        "USER_DEACTIVATED",
        lambda: [read(message) for message in world.said("New")],
    )


def test_what_is_sent_is_what_the_golden_file_shows(start: Callable[..., World]) -> None:
    """The raw calls. `GOLDEN=1` writes the file anew."""
    world = start()
    issue = world.issue(HOSTILE)
    first = world.notification(issue)
    world.hook(issue, "resolved")
    world.wait_for(rf"^`{issue.short_id}` resolved by Carol", first.topic)
    shown = [
        (name, {key: value for key, value in values.items() if key != "request"})
        for name, values in world.zulip.calls
        if not name.startswith("GET") and name != "POST register"
    ]
    golden(GOLDEN / "zulip.json", shown, {world.sentry.url: "https://sentry.example.com"})
