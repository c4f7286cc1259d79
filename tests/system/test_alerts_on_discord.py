"""Alerts on Discord, with its real backend and discord.py: embeds, threads, edits, clicks, reactions, refusals."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.discord_guild import ANN, BOB, CAROL, OPS, WEB, Sent
from tests.fakes.discord_server import DiscordServer
from tests.fakes.tracker import TrackedIssue
from tests.networks import GOLDEN, golden
from tests.servers.discord_bot import DiscordBot
from tests.system.network_world import OWNER, NetworkWorld, subscribe
from tests.waiting import until

ROLE = "<@&700000000000000001>"
POSTS = f"POST /channels/{OPS}/messages"


class World(NetworkWorld):
    """Discord, Sentry, and the bot between them. Each setting spells the room in another way."""

    def __init__(self, folder: Path, ends: ExitStack, **settings: Any) -> None:
        super().__init__(ends)
        self.chat = ends.enter_context(DiscordServer())
        self.bot = DiscordBot(
            folder,
            self.chat,
            **{
                **self.settings,
                "SENTRY_ALERTS": [{"rooms": [f"<#{OPS}>"], "mention": ROLE}],
                "SENTRY_ROOM_PROJECTS": {str(OPS): ["shop"], "direct": ["shop"]},
                "SENTRY_WRITERS": ["ann#0", "carol#0"],
                **settings,
            },
        )
        self.webhook = self.bot.webhook
        ends.enter_context(self.bot.process)
        self.chat.wait_for_socket()

    def wait_for(self, pattern: str, channel: int = OPS) -> Sent:
        """What the bot posted into a channel or thread, waiting for it."""
        return self.wait_for_one(
            lambda: self.chat.in_channel(channel), lambda sent: _reads(sent, pattern), f"{pattern} in {channel}"
        )

    def notification(self, issue: TrackedIssue) -> Sent:
        self.hook(issue)
        sent = self.wait_for(rf"New in shop.*{issue.short_id}")
        self.bot.process.wait_until_stored(str(sent.id))
        return sent

    def wait_for_mark(self, sent: Sent, mark: str) -> None:
        until(lambda: _reads(sent, mark), 60, lambda: f"{mark!r} on {sent}")


def _reads(sent: Sent, pattern: str) -> re.Match[str] | None:
    """What the message shows now, with escapes taken out."""
    return re.search(pattern, _plain(f"{sent.text} {json.dumps(sent.embeds, ensure_ascii=False)}"), re.DOTALL)


def _plain(text: str) -> str:
    return text.replace("\\", "").replace("\u200b", "")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as ends:
        yield World(tmp_path, ends)


def test_cards_threads_clicks_and_reactions(world: World) -> None:
    """One alert from its first message to its end; Carol's account is of today, with an id of 19 digits."""
    chat, issue = world.chat, world.issue("@everyone <@400000000000000001> *it* [x](https://evil.example) broke")
    first = world.notification(issue)
    assert first.text == ROLE
    assert chat.called(POSTS)[0].values["allowed_mentions"] == {
        "parse": [],
        "users": [],
        "roles": [ROLE.strip("<@&>")],
    }
    (embed,) = first.embeds
    title = f"{issue.short_id} KeyError: @everyone <@400000000000000001> *it* [x](https://evil.example) broke"
    assert _plain(embed["title"]) == title
    assert list(first.buttons.values()) == [f"sentry:{name}" for name in ("resolve", "assign", "silence", "archive")]

    world.hook(issue, "assigned", assignedTo={"type": "user", "id": "1", "name": "Dan", "email": "dan@example.com"})
    world.wait_for("assigned to Dan by Carol", first.id)
    assert chat.guild.channels[first.id].name == title
    world.wait_for_mark(first, "assigned to Dan by Carol")

    refused = chat.click(BOB, first, "sentry:resolve")
    until(lambda: refused.followups, 60, "bob is refused")
    assert "SENTRY_WRITERS" in _plain(refused.followups[0]["content"])
    assert refused.followups[0]["flags"] & 64, "he alone reads it"
    assert issue.status == "unresolved"

    # In the thread, with a link whose preview is an embed.
    chat.say(CAROL, "!sentry whoami", first.id, embeds=[{"type": "rich", "title": "a preview"}])
    assert "`carol#0`" in world.wait_for("In chat you are", first.id).text
    chat.say(BOB, "!sentry issue", first.id)
    world.wait_for(rf"{issue.short_id}.*KeyError", first.id)
    chat.say(BOB, "!sentry graph", first.id)
    chart = until(lambda: next((sent for sent in chat.in_channel(first.id) if sent.files), None), 60, "a chart")
    assert [b"\x89PNG" in file.content for file in chart.files.values()] == [True]
    chat.say(BOB, f"!sentry issue {issue.short_id}", WEB)
    world.wait_for("not found here", WEB)

    world.bot.process.stop()
    world.bot.process.start()
    chat.wait_for_socket()
    archived = chat.click(CAROL, first, "sentry:archive", "1d")
    world.wait_for_mark(first, "archived for a day by carol")
    assert issue.status == "ignored"
    assert archived.answer == {"type": 6, "data": {}}, "within three seconds, before any work"
    for _ in range(2):
        chat.click(ANN, first, "sentry:reopen")
    world.wait_for_mark(first, "reopened by ann")

    chat.react(BOB, "✅", first)
    world.wait_for("SENTRY_WRITERS", first.id)
    chat.react(ANN, "🎉", first)
    chat.react(ANN, "✅", chat.say(BOB, "said by a person"))
    foreign = chat.click(ANN, first, "of_another_plugin")
    chat.react(ANN, "✅", first)
    world.wait_for_mark(first, "resolved by ann")
    assert issue.status == "resolved"
    assert len([each for each in first.versions if "reopened by" in _plain(str(each))]) == 1, (
        "a double click counts once"
    )
    assert foreign.answer is None
    world.hook(issue, "resolved")
    assert [sent.id for sent in chat.in_channel() if not sent.embeds] == [], "all the rest is in the thread"
    _direct_messages(world)


def _direct_messages(world: World) -> None:
    """Carol's own subscription: a card whose buttons work, and an update as a reply, where there are no threads."""
    chat, direct = world.chat, world.chat.direct(CAROL)
    subscribe(
        world.tracker,
        lambda line: chat.say(CAROL, line, direct),
        lambda pattern: _plain(world.wait_for(pattern, direct).text),
    )
    mine = world.issue("for carol alone")
    world.hook(mine, assignedTo=OWNER)
    sent = world.wait_for(rf"New in shop.*{mine.short_id}", direct)
    world.bot.process.wait_until_stored(str(sent.id))
    chat.click(CAROL, sent, "sentry:resolve")
    world.wait_for_mark(sent, "resolved by carol")
    assert mine.status == "resolved"
    world.hook(mine, "resolved")
    world.wait_for(rf"{mine.short_id}. resolved by Carol", direct)
    assert [
        call for call in chat.calls if f"/channels/{direct}/messages/" in call.name and "threads" in call.name
    ] == []


def test_nothing_refused_is_delivered_and_nothing_comes_twice(world: World) -> None:
    chat = world.chat
    for refusal in (
        {"status": 403},
        {"status": 404},
        {"status": 400, "code": 50006, "words": "Cannot send an empty message"},
        {"status": 429, "retry_after": 6.0},  # longer than the library waits by itself
    ):
        issue = world.issue(f"refused with {refusal}")
        chat.refuse(POSTS, times=2 if refusal["status"] == 403 else 1, **refusal)  # after 403 also as text
        asked = len(chat.called(POSTS))
        world.hook(issue)
        world.wait_for(rf"New in shop.*{issue.short_id} ")
        until(lambda: chat.called(POSTS)[-1].status == 200, 30, "an answer")
        assert chat.called(POSTS)[-2].status == refusal["status"]

    chat.lose_answer(POSTS)  # it is taken, and nobody knows
    issue = world.issue("sent once")
    world.hook(issue)
    until(lambda: len(chat.called(POSTS)) > asked + 3, 60, "it is tried again")
    issue = world.issue("with a new session")
    chat.forget_session()
    chat.cut()
    world.hook(issue)
    world.wait_for(rf"New in shop.*{issue.short_id} ")
    chat.wait_for_socket(60)
    chat.refuse(POSTS, 400, code=50035, words="In content: Must be 2000 or fewer in length.")
    world.hook(world.issue("never taken"))
    world.bot.process.wait_for_output("is set aside, nobody takes it: Discord refused the message")
    chat.allow()

    before = len(world.bot.process.log)
    chat.close_sockets(4004)  # the library gives up, and Errbot starts it anew
    world.bot.process.wait_for_log("Reconnecting in", after=before)
    issue = world.issue("while nobody is there")
    world.hook(issue)
    last = world.wait_for(rf"New in shop.*{issue.short_id} ")
    world.hook(issue, "assigned", assignedTo={"type": "user", "id": "1", "name": "Dan", "email": "dan@example.com"})
    world.wait_for("assigned to Dan by Carol", last.id)  # so the bot knows that the notification has arrived
    chat.click(ANN, last, "sentry:resolve")
    world.wait_for_mark(last, "resolved by ann")
    titles = [sent.embeds[0]["title"] for sent in chat.in_channel()]
    assert len(titles) == len(set(titles)) == 7


def test_a_token_that_is_refused_for_a_while_loses_nothing(world: World) -> None:
    chat = world.chat
    world.lose_token(
        lambda: chat.refuse("POST *", 401),
        chat.allow,
        "401",
        lambda: [_plain(json.dumps(sent.embeds)) for sent in chat.in_channel(OPS)],
    )


def test_without_the_right_to_threads_and_embeds(world: World) -> None:
    """Updates are replies then, and the notification is text."""
    chat, issue = world.chat, world.issue()
    chat.refuse(f"{POSTS}/*/threads", 403)
    first = world.notification(issue)
    world.hook(issue, "resolved")
    reply = until(lambda: next((sent for sent in chat.in_channel() if sent.id != first.id), None), 60, "a reply")
    assert _reads(reply, "resolved by Carol")
    assert reply.now["message_reference"]["message_id"] == str(first.id)
    chat.refuse(POSTS, 403, times=1)
    issue = world.issue("as text")
    world.hook(issue)
    assert world.wait_for(rf"\*\*New\*\* in shop.*{issue.short_id}").embeds == []


def test_what_is_sent_is_what_the_golden_file_shows(world: World) -> None:
    """The raw calls, so that a reader sees what a room sees. `GOLDEN=1` writes the file anew."""
    issue = world.issue("@everyone <@1> *it* <https://evil.example|broke> `now` &amp; _again_")
    first = world.notification(issue)
    world.hook(issue, "resolved")
    world.wait_for("resolved by Carol", first.id)
    calls = [
        (call.name, {**call.values, "nonce": "…"} if "nonce" in call.values else call.values)
        for call in world.chat.calls
    ]
    golden(GOLDEN / "discord.json", calls, {world.sentry.url: "https://sentry.example.com"})
