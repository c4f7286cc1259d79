"""Alerts on Slack, with its real backend and client library: threads, edits, reactions, rights, mentions, restarts."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.http_server import Reply, Request
from tests.fakes.slack_server import Said, SlackServer
from tests.fakes.slack_signed import send_click
from tests.fakes.tracker import TrackedIssue
from tests.networks import GOLDEN, golden
from tests.servers.slack_bot import SlackBot
from tests.system.network_world import MAIL, OWNER, NetworkWorld
from tests.waiting import until

OPS, WEB = "C00OPS", "C00WEB"
ANN, BOB = "U00ANN", "U00BOB"
DIRECT = "D00ANN"


class World(NetworkWorld):
    """Slack, Sentry, and the bot between them."""

    def __init__(self, folder: Path, ends: ExitStack, *, socket_mode: bool = False, **settings: Any) -> None:
        super().__init__(ends)
        self.slack = ends.enter_context(SlackServer())
        self.bot = SlackBot(
            folder,
            self.slack,
            SENTRY_ALERTS=[{"rooms": ["#ops"], "mention": {"assignee": True, "else": "<!subteam^S00ONCALL>"}}],
            SENTRY_ROOM_PROJECTS={"#ops": ["shop"], "direct": ["shop"]},
            socket_mode=socket_mode,
            **self.settings,
            **settings,
        )
        self.webhook = self.bot.webhook
        ends.enter_context(self.bot.process)

    @property
    def clicks(self) -> str:
        """The URL for interactivity."""
        return f"{self.bot.webhook.removesuffix('webhook')}clicks"

    def wait_for(self, pattern: str, thread: str | None = None, channel: str = OPS) -> Said:
        """What the bot said in a channel (and in this thread of it, where one is given), waiting for it."""
        return self.wait_for_one(
            lambda: self.slack.in_channel(channel),
            lambda said: re.search(pattern, said.texts[0]) and thread in (None, said.thread),
            pattern,
        )

    def notification(self, issue: TrackedIssue, **fields: Any) -> Said:
        """An issue is new, and the room is notified."""
        self.hook(issue, **fields)
        said = self.wait_for(rf"New.*{issue.short_id}")
        assert said.thread == ""
        self.bot.process.wait_until_stored(said.ts)
        return said

    def link(self, person: str) -> None:
        """This person proves to be the owner of MAIL."""
        proof = self.issue("for the proof")
        self.bot.say(person, f"!sentry link {MAIL}", OPS)
        phrase = re.search(r"I am \w+ in chat: \w+", self.wait_for("I am .* in chat").text)
        assert phrase is not None
        proof.notes.append((phrase[0], self.tracker.now))
        self.bot.say(person, f"!sentry link {MAIL} {proof.short_id}", OPS)
        self.wait_for("You are .* on the server")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as ends:
        yield World(tmp_path, ends)


def test_updates_are_in_the_thread_and_the_notification_is_edited(world: World) -> None:
    """The room is named `#ops` in config.py, which Slack knows by an id."""
    issue = world.issue("@here <!channel> it broke")
    first = world.notification(issue)
    assert first.text.startswith("<!subteam^S00ONCALL> *New* in shop")
    assert not re.search(r"@here|<!channel>", first.text)

    world.hook(issue, "assigned", assignedTo=OWNER)
    world.wait_for("assigned to The Bot by Carol", first.ts)
    world.hook(issue, "resolved")
    world.wait_for("resolved by Carol", first.ts)
    assert [text.rpartition(" · ")[2] for text in first.texts[1:]] == [
        "assigned to The Bot by Carol",
        "resolved by Carol",
    ]
    assert all(text.startswith("<!subteam^S00ONCALL> *New* in shop") for text in first.texts)
    assert [(call["channel"], call["ts"]) for call in world.slack.called("chat.update")] == [(OPS, first.ts)] * 2
    assert len([said for said in world.slack.said if not said.thread]) == 1


def test_the_notification_is_known_after_a_restart_and_a_failing_edit_is_made_after_a_kill(world: World) -> None:
    issue, other = world.issue(), world.issue("another")
    first, second = world.notification(issue), world.notification(other)
    world.bot.process.stop()
    world.bot.process.start()
    world.hook(issue, "resolved")
    world.wait_for("resolved by Carol", first.ts)
    assert first.text.endswith("resolved by Carol")
    world.slack.fails["chat.update"] = "fatal_error"
    world.hook(other, "archived")
    world.wait_for("archived by Carol", second.ts)
    assert len(second.texts) == 1
    world.bot.process.kill9()
    world.slack.fails.clear()
    world.bot.process.start()
    until(lambda: second.text.endswith("archived by Carol"), 60, lambda: f"the edit of {second}")


def test_a_message_that_slack_refuses_is_tried_again(world: World) -> None:
    """The backend swallows the refusal; no timestamp means that it was not taken."""
    world.slack.fails["chat.postMessage"] = "ratelimited"
    issue = world.issue()
    world.hook(issue)
    until(lambda: world.slack.called("chat.postMessage"), 60, "it was tried")
    world.slack.fails.clear()
    world.wait_for(rf"New.*{issue.short_id}")
    assert len(world.slack.in_channel(OPS)) == 1


def test_a_token_that_is_refused_for_a_while_loses_nothing(world: World) -> None:
    """Also where the room was not looked up before."""
    fails = world.slack.fails
    methods = ("chat.postMessage", "conversations.list", "conversations.info")
    world.lose_token(
        lambda: fails.update(dict.fromkeys(methods, "token_revoked")),
        fails.clear,
        "token_revoked",
        lambda: [said.texts[0] for said in world.slack.in_channel(OPS)],
    )


def test_reactions_act_with_the_rights_of_who_reacted(world: World) -> None:
    world.link(ANN)
    issue = world.issue()
    first = world.notification(issue, assignedTo=OWNER)
    assert first.text.startswith("<@U00ANN> *New* in shop"), "the linked assignee is mentioned"

    world.bot.react(BOB, "white_check_mark", OPS, first.ts)
    world.wait_for("SENTRY_WRITERS", first.ts)
    assert issue.status == "unresolved", "bob may not change issues"

    world.bot.react(ANN, "eyes", OPS, first.ts)
    world.wait_for(f"assigned to {MAIL} by ann", first.ts)
    assert issue.assigned is not None
    assert issue.assigned["email"] == MAIL

    world.bot.react(ANN, "mute", OPS, first.ts)
    world.wait_for(r"Silence \d+: .*for 1h", first.ts)
    world.bot.react(ANN, "white_check_mark", OPS, first.ts)
    world.wait_for("resolved by ann", first.ts)
    assert issue.status == "resolved"
    _direct_messages(world)


def _direct_messages(world: World) -> None:
    """Ann's own subscription: cards, buttons, reactions and REF-less commands as in a room, also after a restart."""
    world.bot.say(ANN, "!sentry subscribe assignee=me", DIRECT)
    world.wait_for(r"Subscription \d+: assignee=me", channel=DIRECT)
    world.bot.say(BOB, "!sentry subscribe", "D00BOB")
    world.wait_for("Link your server account first", channel="D00BOB")
    issue = world.issue("for ann")
    world.notification(issue, assignedTo=OWNER)
    said = world.wait_for(rf"New.*{issue.short_id}", "", DIRECT)
    world.bot.process.wait_until_stored(str(said.ts))
    world.bot.process.stop()
    world.bot.process.start()
    world.bot.say(ANN, "!sentry issue", DIRECT, said.ts)
    world.wait_for(f"{issue.short_id}.*KeyError", said.ts, DIRECT)
    assert world.bot.react(BOB, "white_check_mark", DIRECT, said.ts) == 200, "not his conversation"
    world.bot.click(ANN, said, "resolve", address=world.clicks)
    until(lambda: "resolved by ann" in said.text, 60, lambda: f"the mark on {said}")
    assert issue.status == "resolved"
    world.bot.say(ANN, "!sentry unlink", DIRECT)
    world.wait_for("no longer linked", channel=DIRECT)
    other = world.issue("for nobody")
    world.notification(other, assignedTo=OWNER)
    world.bot.say(ANN, "!sentry subscriptions", DIRECT)
    world.wait_for("nothing is sent: link your server account again", channel=DIRECT)
    assert not [each for each in world.slack.said if each.channel != OPS and other.short_id in each.text]


def test_reactions_elsewhere_or_by_who_is_unknown_do_nothing(world: World) -> None:
    issue = world.issue()
    first = world.notification(issue)
    foreign = Said(OPS, "1760000009.000001", ["said by a person"])
    world.slack.said.append(foreign)
    for person, emoji, channel, ts in (
        (ANN, "white_check_mark", OPS, foreign.ts),
        (ANN, "white_check_mark", WEB, first.ts),
        (ANN, "tada", OPS, first.ts),
        (ANN, "white_check_mark", "D00ANN", first.ts),
    ):
        assert world.bot.react(person, emoji, channel, ts) == 200
    world.bot.react(ANN, "eyes", OPS, first.ts)  # not linked: nobody to assign to
    world.wait_for("You haven't linked a server account", first.ts)
    assert world.bot.react("U00WHO", "white_check_mark", OPS, first.ts) == 500, "the backend knows no such person"
    world.bot.say(ANN, "!sentry alerts", OPS)
    world.wait_for(rf"ago: New .*{issue.short_id}.*first")
    assert (issue.status, issue.assigned) == ("unresolved", None)
    assert [each for each in world.slack.said if each.channel != OPS] == []


def test_commands_are_for_the_room_by_its_name_and_charts_go_there(world: World) -> None:
    """`SENTRY_ROOM_PROJECTS` names `#ops`; another channel sees nothing. In the alert's thread no REF is needed."""
    issue = world.issue()
    first = world.notification(issue)
    world.bot.say(BOB, "!sentry issue", OPS, first.ts)
    world.wait_for(rf"{issue.short_id}", first.ts)
    world.bot.say(BOB, f"!sentry issue {issue.short_id}", WEB)
    world.wait_for("not found here", channel=WEB)
    world.bot.say(BOB, "!sentry graph", OPS, first.ts)
    file = until(lambda: next(iter(world.slack.files), None), 60, "a chart on Slack")
    assert (file["channel"], file["thread"]) == (OPS, first.ts)
    assert b"\x89PNG" in file["content"]
    address = f"{world.sentry.url}/organizations/acme/issues/{issue.id}/"
    world.bot.say(BOB, f"have you seen <{address}> ?", OPS, "1760000003.000100")
    world.wait_for(re.escape(issue.short_id), "1760000003.000100")
    world.bot.say(ANN, "!sentry digest now", OPS)
    world.wait_for("Digest.*last 24 hours")
    assert [(each["title"], each["channel"]) for each in world.slack.files][1:] == [("report.png", OPS)]


@pytest.fixture(params=[True, False], ids=["socket mode", "http"])
def clicking(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A world in which clicks come by the one way or the other."""
    with ExitStack() as ends:
        yield World(tmp_path, ends, socket_mode=request.param)


def test_buttons_run_commands_with_the_rights_of_who_clicked(clicking: World) -> None:
    """A reader is refused alone; a writer's click shows on the message; a second click and a restart are harmless."""
    world = clicking
    issue = world.issue()
    first = world.notification(issue)
    clicks = world.clicks

    world.bot.click(BOB, first, "resolve", address=clicks)
    refused = until(lambda: next(iter(world.slack.whispered), None), 60, "bob is refused")
    assert (refused.user, refused.channel) == (BOB, OPS)
    assert "SENTRY_WRITERS" in refused.text
    assert (issue.status, len(first.texts)) == ("unresolved", 1)

    world.bot.process.stop()
    world.bot.process.start()
    world.bot.click(ANN, first, "archive", "1d", address=clicks)
    until(lambda: "archived for a day by ann" in first.text, 60, lambda: f"the mark in {first.texts}")
    assert issue.status == "ignored"
    world.bot.click(ANN, first, "reopen", address=clicks, times=2)
    until(lambda: "reopened by ann" in first.text, 60, lambda: f"the mark in {first.texts}")
    assert issue.status == "unresolved"
    # What the server refuses may be clicked again at once.
    world.tracker.token, token = "another", world.tracker.token
    world.bot.click(ANN, first, "resolve", address=clicks)
    until(lambda: len(world.slack.whispered) == 4, 60, lambda: f"the refusal in {world.slack.whispered}")
    world.tracker.token = token
    world.bot.click(ANN, first, "resolve", address=clicks)
    until(lambda: "resolved by ann" in first.text, 60, lambda: f"the mark in {first.texts}")
    assert issue.status == "resolved"
    assert [text.rpartition(" · ")[2] for text in first.texts[1:]] == [
        "archived for a day by ann",
        "reopened by ann",
        "resolved by ann",
    ]
    assert [each.user for each in world.slack.whispered] == [BOB, ANN, ANN, ANN, ANN]
    assert [said for said in world.slack.in_channel(OPS) if said.thread] == [], "nobody else reads the replies"


def test_a_click_that_is_faster_than_slacks_answer_counts(clicking: World) -> None:
    """People see the message before the bot knows its id."""
    world, issue, go = clicking, clicking.issue(), threading.Event()
    answer = world.slack.answer

    def late(request: Request) -> Reply:
        reply = answer(request)
        if request.path.endswith("chat.postMessage"):
            go.wait(60)
        return reply

    world.slack.answer = late
    world.hook(issue)
    said = world.wait_for(rf"New.*{issue.short_id}")
    world.bot.click(ANN, said, "resolve", address=f"{world.bot.webhook.removesuffix('webhook')}clicks")
    world.bot.process.wait_for_log("a click waits for the id of its message")
    go.set()
    until(lambda: "resolved by ann" in said.text, 60, lambda: f"the mark in {said.texts}")
    assert issue.status == "resolved"


def test_forged_and_replayed_clicks_change_nothing(world: World) -> None:
    issue = world.issue()
    first = world.notification(issue)
    clicks = f"{world.bot.webhook.removesuffix('webhook')}clicks"
    payload = world.slack.click_payload(ANN, first, "resolve")
    assert send_click(clicks, payload, secret="a guess") == 401
    assert send_click(clicks, payload, stamp=time.time() - 3600) == 401
    assert send_click(clicks, payload, stamp="soon") == 400
    assert send_click(clicks, payload, signature="v0=\xe9") == 400
    foreign = Said(OPS, "1760000009.000001", ["said by a person"], blocks=first.blocks)
    world.slack.said.append(foreign)
    assert send_click(clicks, world.slack.click_payload(ANN, foreign, "resolve")) == 200
    elsewhere = Said(WEB, first.ts, first.texts, blocks=first.blocks)
    assert send_click(clicks, world.slack.click_payload(ANN, elsewhere, "resolve")) == 200
    assert send_click(clicks, {**payload, "actions": [{"action_id": "delete"}]}) == 200
    assert send_click(clicks, {**payload, "actions": 7}) == 200
    assert send_click(clicks, {**payload, "channel": {"id": "C00NONE"}}) == 200
    world.bot.click(BOB, first, "resolve", address=clicks)
    until(lambda: world.slack.whispered, 60, "the last click was worked on")
    assert [each.user for each in world.slack.whispered] == [BOB]
    assert issue.status == "unresolved"


@pytest.mark.parametrize(
    "error", ["channel_not_found", "is_archived", "not_in_channel", "fatal_error", "invalid_blocks"]
)
def test_what_slack_refuses_is_never_called_delivered(world: World, error: str) -> None:
    world.slack.fails["chat.postMessage"] = error
    issue = world.issue()
    world.hook(issue)
    until(lambda: len(world.slack.called("chat.postMessage")) > 1, 60, "it was tried again")
    assert world.slack.in_channel(OPS) == []
    world.slack.fails.clear()
    world.wait_for(rf"New.*{issue.short_id}")
    assert len(world.slack.in_channel(OPS)) == 1


def test_a_rate_limit_is_obeyed(world: World) -> None:
    issue = world.issue()
    world.slack.limit("chat.postMessage", 2)
    world.hook(issue)
    world.wait_for(rf"New.*{issue.short_id}")
    assert len(world.slack.called("chat.postMessage")) == 2


def test_a_reconnect_in_the_middle_of_a_delivery_loses_nothing(tmp_path: Path) -> None:
    """Whose answer is lost comes at most twice; what came while Slack was away comes once, and clicks work again."""
    with ExitStack() as ends:
        world = World(tmp_path, ends, socket_mode=True)
        slack, lost = world.slack, world.issue("whose answer is lost")
        slack.lose_answer("chat.postMessage")
        world.hook(lost)
        until(lambda: len(slack.called("chat.postMessage")) >= 2, 60, "it is tried again")
        slack.socket.wait_for_connection()
        before = len(slack.socket.sessions)
        slack.offline = True
        slack.socket.close()
        away = [world.issue("while Slack was away"), world.issue("and another")]
        for issue in away:
            world.hook(issue)
        world.bot.process.wait_for_log("message 2 for #ops is tried again")
        slack.offline = False
        found = [world.wait_for(rf"New.*{issue.short_id}") for issue in away]
        until(lambda: len(slack.socket.sessions) > before, 120, "a new socket")
        said = [each for each in slack.in_channel(OPS) if each.texts[0].startswith(("<!", "*New"))]
        assert [sum(issue.short_id in each.texts[0] for each in said) for issue in (lost, *away)] == [2, 1, 1]
        assert found[0].ts < found[1].ts
        world.bot.process.wait_until_stored(found[0].ts)
        world.bot.click(ANN, found[0], "resolve", address=world.clicks)
        until(lambda: "resolved by ann" in found[0].text, 60, lambda: f"the mark in {found[0].texts}")


def test_what_is_sent_is_what_the_golden_file_shows(world: World) -> None:
    """The raw calls, so that a reader sees what a room sees. `GOLDEN=1` writes the file anew."""
    issue = world.issue("@here <!channel> *it* <https://evil.example|broke> `now` &amp; _again_")
    first = world.notification(issue)
    world.hook(issue, "resolved")
    world.wait_for("resolved by Carol", first.ts)
    golden(GOLDEN / "slack.json", world.slack.calls, {world.sentry.url: "https://sentry.example.com"})
