"""Alerts on Matrix, with a real Synapse and the real backend: threads, edits, reactions, pictures, refusals."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from demo.processes import free_port
from tests.alerting import bodies
from tests.fakes.tracker import TrackedIssue
from tests.networks import GOLDEN, golden
from tests.servers.matrix_bot import MatrixBot
from tests.servers.matrix_client import MatrixPerson, Seen
from tests.servers.synapse import Synapse
from tests.system.network_world import OWNER, NetworkWorld, subscribe
from tests.system.plugin_copies import PLUGIN
from tests.waiting import until


class World(NetworkWorld):
    """Synapse, Sentry, and the bot between them. The room's alias is in the settings; commands come by its id."""

    def __init__(self, folder: Path, synapse: Synapse, ends: ExitStack) -> None:
        super().__init__(ends)
        self.synapse = synapse
        self.ann, self.bob = synapse.register("ann"), synapse.register("bob")
        self.room = self.ann.create_room("ops")
        self.bob.join(self.room)
        port = free_port()
        self.webhook = bodies.address(port)
        self.bot = MatrixBot(
            folder,
            synapse,
            [PLUGIN],
            admins=(self.ann.id,),
            SENTRY_ALERTS=[{"rooms": ["#ops:chat.test"], "mention": self.bob.id}],
            SENTRY_ROOM_PROJECTS={"#ops:chat.test": ["shop"], "direct": ["shop"]},
            **{**self.settings, **bodies.listening(port)},
        )
        ends.enter_context(self.bot.process)
        self.bot.enter(self.room, self.ann)

    def notification(self, issue: TrackedIssue) -> Seen:
        self.hook(issue)
        seen = self.ann.wait_for(self.room, rf"New in shop.*{issue.short_id}", thread="")
        self.bot.process.wait_until_stored(seen.id)
        return seen

    def now(self, seen: Seen) -> Seen:
        """The message as it stands now."""
        return next(each for each in self.ann.read(self.room) if each.id == seen.id)

    def wait_for_mark(self, seen: Seen, mark: str) -> Seen:
        until(lambda: mark in self.now(seen).text, 60, lambda: f"{mark!r} on {self.now(seen).text}")
        return self.now(seen)


@pytest.fixture
def world(tmp_path: Path, synapse: Synapse) -> Iterator[World]:
    with ExitStack() as ends:
        yield World(tmp_path, synapse, ends)


def test_an_alert_its_thread_its_edits_and_reactions(world: World) -> None:
    """Updates are in the thread, edits show what became of it, and whoever reacts acts with their own rights."""
    issue = world.issue("@room @here <b>it</b> *broke* [pay](https://evil.example)")
    first = world.notification(issue)
    assert first.mentions == [world.bob.id]
    assert "room" not in first.content["m.mentions"]
    assert "<b>it" not in first.html
    assert 'href="https://evil' not in first.html

    world.ann.react(world.room, first.id, "\u2705")
    marked = world.wait_for_mark(first, "resolved by")
    assert issue.status == "resolved"
    assert marked.mentions == [world.bob.id]
    world.ann.wait_for(world.room, "resolved by", sender=world.bot.id, thread=first.id)

    issue.status = "unresolved"
    world.bob.react(world.room, first.id, "\u2705")
    world.ann.wait_for(world.room, "SENTRY_WRITERS", thread=first.id)
    assert issue.status == "unresolved", "bob may not change issues"

    world.bob.send(world.room, "!sentry issue", thread=first.id)
    world.ann.wait_for(world.room, "unresolved.*error", thread=first.id)
    world.ann.send(world.room, "!sentry graph -p shop")
    picture = until(
        lambda: next((each for each in world.ann.read(world.room) if each.kind == "m.image"), None), 60, "a picture"
    )
    assert world.ann.download(picture.url).startswith(b"\x89PNG")
    world.ann.send(world.room, "!sentry whoami")
    world.ann.wait_for(world.room, re.escape(f"({world.ann.id})"))
    _direct_messages(world)


def _direct_messages(world: World) -> None:
    """Ann's own subscription comes into the room of the two; once somebody else is in it, into a new one."""
    ann, bot = world.ann, world.bot
    direct = ann.create_room(invite=(bot.id,), direct=True)
    ann.wait_for_member(direct, bot.id)
    subscribe(
        world.tracker,
        lambda line: ann.send(direct, line),
        lambda pattern: ann.wait_for(direct, pattern, sender=bot.id).text,
    )
    mine = world.issue("for ann alone")
    world.hook(mine, assignedTo=OWNER)
    seen = ann.wait_for(direct, rf"New in shop.*{mine.short_id}", thread="")
    bot.process.wait_until_stored(str(seen.id))
    ann.react(direct, seen.id, "\u2705")
    until(lambda: mine.status == "resolved", 60, "resolved by the reaction")
    ann.invite(direct, world.bob.id)
    world.bob.join(direct)
    # What is typed there now is typed in a room: the bot knows that bob is there.
    until(lambda: _answers(world, direct), 60, "the bot knows that bob is there")
    later = world.issue("for ann alone, too")
    world.hook(later, assignedTo=OWNER)
    asked = itertools.count()  # Synapse keeps the answer to the same question for two minutes
    made = until(lambda: next(iter(_invitations(ann, next(asked))), ""), 60, "an invitation into a room of the two")
    ann.join(made)
    ann.wait_for(made, rf"New in shop.*{later.short_id}")
    assert not [each for each in ann.read(direct) if later.short_id in each.text]


def _answers(world: World, room: str) -> bool:
    world.ann.send(room, "!sentry whoami")
    return any("In config.py this room is" in each.text for each in world.ann.read(room))


def _invitations(person: MatrixPerson, milliseconds: int) -> list[str]:
    return list(person.api("GET", "/sync", timeout=str(milliseconds)).get("rooms", {}).get("invite", {}))


def test_a_restart_runs_no_command_again_and_knows_the_alerts(world: World) -> None:
    issue = world.issue()
    first = world.notification(issue)
    world.ann.send(world.room, f"!sentry resolve {issue.short_id}")
    until(lambda: issue.status == "resolved", 60, "resolved by the command")
    issue.status = "unresolved"
    world.bot.process.stop()
    world.bot.process.start()
    second = world.notification(world.issue("another"))
    assert second.id != first.id
    world.hook(issue, "archived")
    world.wait_for_mark(first, "archived by Carol")
    assert issue.status == "unresolved", "the command of before the restart was not run again"


def test_what_is_refused_is_never_delivered_and_a_server_that_was_away_gets_each_once(world: World) -> None:
    issue = world.issue()
    world.ann.set_level(world.room, world.bot.id, -1)
    world.hook(issue)
    world.bot.process.wait_for_log("M_FORBIDDEN")
    world.ann.set_level(world.room, world.bot.id, 0)
    world.ann.wait_for(world.room, rf"New in shop.*{issue.short_id}")

    other = world.issue("while it was away")
    world.synapse.kill()
    world.hook(other)
    world.synapse.start()
    world.ann.wait_for(world.room, rf"New in shop.*{other.short_id}")
    limited = world.issue("too fast")
    world.synapse.limit_rate(world.bot.id)
    world.hook(limited)
    world.synapse.unlimit_rate(world.bot.id)
    world.ann.wait_for(world.room, rf"New in shop.*{limited.short_id}")
    texts = [each.text for each in world.ann.read(world.room) if each.sender == world.bot.id]
    for each in (issue, other, limited):
        assert len([text for text in texts if each.short_id in text]) == 1


def test_a_token_that_the_server_has_forgotten_loses_nothing(world: World) -> None:
    """A restart logs in again. Until then the bot asks the server now and then, and not hundreds of times a second."""

    def restart() -> None:
        world.bot.process.stop()
        world.bot.process.start()

    world.lose_token(
        lambda: world.synapse.end_session(world.bot.id, "TESTBOT"),
        restart,
        "M_UNKNOWN_TOKEN",
        lambda: [each.text for each in world.ann.read(world.room) if each.sender == world.bot.id],
    )
    assert 0 < world.bot.process.log.count("nio.responses") < 100


def test_what_is_sent_is_what_the_golden_file_shows(world: World) -> None:
    """The raw events. `GOLDEN=1` writes the file anew."""
    issue = world.issue("@room <b>it</b> *broke* [pay](https://evil.example) :smile:")
    first = world.notification(issue)
    world.hook(issue, "resolved")
    world.ann.wait_for(world.room, "resolved by Carol", thread=first.id)
    sent = [
        ("send", event["content"])
        for event in world.ann.timeline(world.room)
        if event["type"] == "m.room.message" and event["sender"] == world.bot.id
    ]
    golden(GOLDEN / "matrix.json", sent, {world.sentry.url: "https://sentry.example.com", first.id: "$notification"})
