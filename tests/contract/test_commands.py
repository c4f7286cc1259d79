"""Every command on all three servers, as words typed in a room and lines read there; refusals are expected by name."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timezone

import pytest

from errbot_sentry.commands.dispatch import Commands
from errbot_sentry.config.settings import CommandSettings
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.conversation import Conversation, Invocation, Person
from errbot_sentry.domain.errors import BadReference, Unsupported, UserError
from errbot_sentry.domain.issues import ARCHIVED, RESOLVED, UNRESOLVED
from errbot_sentry.server.protocol import BUGSINK, GLITCHTIP
from tests.contract.worlds import Session, TrackerWorld
from tests.rules.commands.world import rendered
from tests.stores import store_at

ALICE = Person("alice!a@host", "alice")
MAIL = "bot@example.com"


class Room:
    """#ops sees both projects of a session, #web one of them, #none nothing."""

    def __init__(self, on: Session) -> None:
        self.on = on
        world = on.world
        self.commands = Commands(
            lambda: on.server,
            Access(
                room_projects={
                    "#ops": (world.web, world.api),
                    "#web": (world.web,),
                    "#none": ("nothing",),
                    "#all": ("*",),
                },
                writers=("alice!*",),
            ),
            CommandSettings(),
            on.clock,
            store_at("sqlite://"),
            org=world.settings.org,
        )

    def lines(self, typed: str, room: str = "#ops") -> list[str]:
        name, _, words = typed.partition(" ")
        return [
            line
            for view in self.commands.run(name, Invocation(ALICE, Conversation(room), words))
            for line in rendered(view)
        ]


@pytest.fixture
def room(on: Session) -> Room:
    return Room(on)


@dataclass(frozen=True)
class Row:
    """One command; `shows` is in what is read, or on a server in `refused`, the word that its refusal must have."""

    typed: str
    shows: str
    refused: dict[str, str]


TABLE = (
    Row("sentry", "projects: ", {}),
    Row("issues", "#2 ", {}),
    Row("issues -s freq -n 1", "#1 ", {}),
    Row("issues -s user", "#1 ", {BUGSINK: "users", GLITCHTIP: "user"}),
    Row("issues -t 1h", "#1 ", {}),
    Row("issues -e production", "ZeroDivisionError", {BUGSINK: "environment"}),
    Row("issues ZeroDivisionError", "#1 ", {}),
    Row("issues it's", "No unresolved issues", {}),
    Row("issue {ref}", "shop=berlin", {}),
    Row("trace {ref}", "ZeroDivisionError: division by zero", {}),
    Row("trace {ref} --full", "ZeroDivisionError: division by zero", {}),
    Row("events {ref}", "#1 ", {}),
    Row("tags {ref}", "shop", {BUGSINK: "count tags"}),
    Row("tags {ref} shop", "berlin", {BUGSINK: "count tags"}),
    Row("graph {ref}", "event", {}),
    Row("graph -p {web}", "event", {BUGSINK: "name one issue"}),
    Row("projects", "#1 ", {}),
    Row("releases", "#1 ", {}),
    Row("note {ref} it's “us”", "Note left on", {}),
    Row("priority {ref} high", "given high priority", {BUGSINK: "priority", GLITCHTIP: "priority"}),
    Row("assign {ref} ann@example.com", "assigned to", {BUGSINK: "assignee", GLITCHTIP: "assign"}),
    Row("assign {ref} nobody", "assigned to nobody", {BUGSINK: "assignee", GLITCHTIP: "assign"}),
    Row("archive {ref}", "archived by alice", {}),
    Row("archive {ref} --until 2h", "archived for 2h", {GLITCHTIP: "archive"}),
    Row("archive {ref} --until escalating", "until it escalates", {GLITCHTIP: "archive", BUGSINK: "escalating"}),
    Row("archive {ref} --until 10u", "10 more users", {GLITCHTIP: "archive", BUGSINK: "users"}),
    Row("archive {ref} --until 10x/5m", "10 more events in 5m", {GLITCHTIP: "archive"}),
    Row("resolve {ref}", "resolved by alice", {}),
    Row("resolve {ref} --in @next", "resolved in the next release", {GLITCHTIP: "release"}),
    Row("resolve {ref} --in shop@1.4", "resolved in shop@1.4", {GLITCHTIP: "release", BUGSINK: "release"}),
    Row("merge {ref} {other}", "merged into", {BUGSINK: "merge"}),
    Row("status", "server ok: ", {}),
)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.typed)
def test_each_command_does_it_or_says_why_not(room: Room, row: Row) -> None:
    world = room.on.world
    world.add_release(world.web, "shop@1.4")
    other = world.add(world.web, "ValueError", "older")
    known = world.add(world.web, "ZeroDivisionError", "division by zero", shop="berlin", environment="production")
    typed = row.typed.format(ref=known.short_id, other=other.short_id, web=world.web)
    if room.on.kind in row.refused:
        before = (world.status(known), world.notes(known))
        with pytest.raises(Unsupported) as caught:
            room.lines(typed)
        assert row.refused[room.on.kind] in str(caught.value)
        assert (world.status(known), world.notes(known)) == before
        return
    assert row.shows in "\n".join(room.lines(typed))


@pytest.mark.parametrize(("command", "status"), [("resolve", RESOLVED), ("archive", ARCHIVED)])
def test_changes_are_there_and_signed_and_undone_by_reopen(room: Room, command: str, status: str) -> None:
    world = room.on.world
    known = world.add(world.web, "ZeroDivisionError", "division by zero")
    room.lines("issues")
    room.lines(f"{command} #1")
    assert world.status(known) == status
    assert any("asked by alice in #ops" in note for note in world.notes(known))
    assert "already" in room.lines(f"{command} #1")[0]
    room.lines("reopen #1")
    assert world.status(known) == UNRESOLVED


def test_no_form_of_reference_shows_a_hidden_issue(room: Room) -> None:
    world = room.on.world
    known = world.add(world.api, "SecretError", "hidden")
    link = room.on.server.issue(known.id).link
    for word in (known.short_id, known.short_id.lower(), known.id, known.event_id, link):
        assert known.short_id in room.lines(f"issue {word}")[0]
        for command in ("issue {}", "trace {}", "events {}", "tags {}", "graph {}", "resolve {}", "note {} x"):
            with pytest.raises((BadReference, Unsupported), match=r"not found here|does not count tags"):
                room.lines(command.format(word), room="#web")
    assert room.lines("issues", room="#web") == [f"No unresolved issues in {world.web}."]
    with pytest.raises(UserError):
        room.lines("issues", room="#none")
    assert world.status(known) == UNRESOLVED


def test_pages_go_on_and_back(room: Room) -> None:
    world = room.on.world
    made = [world.add(world.web, f"Error{letter}", "broke") for letter in "ABCDE"]
    shown = room.lines("issues -n 2") + room.lines("next") + room.lines("next")
    rows = [line.split()[:2] for line in shown if line.startswith("#")]
    assert rows == [[f"#{n}", known.short_id] for n, known in enumerate(reversed(made), 1)]
    assert [line.split()[0] for line in room.lines("prev")][:2] == ["#3", "#4"]


def test_requests_per_command(room: Room) -> None:
    """One for the list; two for an issue with its newest event (three where a short id has to be looked up first)."""
    world = room.on.world
    known = world.add(world.web, "ZeroDivisionError", "division by zero")
    room.lines("issues")  # projects are known afterwards
    assert len(room.on.requests_of(lambda: room.lines("issues"))) == (2 if room.on.kind == BUGSINK else 1)
    assert len(room.on.requests_of(lambda: room.lines("issue #1"))) <= 3
    assert known.short_id in room.lines("issue #1")[0]


def test_a_comment_proves_who_one_is(room: Room) -> None:
    """The stand-ins give every comment to one account, so that account is who Alice claims to be."""
    world = room.on.world
    if not isinstance(world, TrackerWorld):
        with pytest.raises(Unsupported, match="no user accounts to link"):
            room.lines(f"link {MAIL}")
        return
    known = world.add(world.web, "ZeroDivisionError", "division by zero")
    phrase = room.lines(f"link {MAIL}")[1].strip("`")
    room.lines(f"note {known.short_id} {phrase}")  # by the same account, but through the bot: signed
    with pytest.raises(BadReference, match="No comment on"):
        room.lines(f"link {MAIL} {known.short_id}")
    world.issue(known).notes.append((phrase, datetime.now(timezone.utc)))
    assert room.lines(f"link {MAIL} {known.short_id}")[0].startswith(f"You are {MAIL} on the server.")
    assert f"On the server you are {MAIL}." in room.lines("whoami")


def test_a_room_cannot_tell_a_hidden_project_from_none(room: Room) -> None:
    """The same words for an issue of a hidden project, for none of that project, and for no such project."""
    hidden = room.on.world.add(room.on.world.api, "SecretError", "top secret").short_id
    prefix = hidden.rpartition("-")[0]
    said = set()
    for word in (hidden, f"{prefix}-ZZ9", "no-such-project-1"):
        with pytest.raises(BadReference) as refusal:
            room.lines(f"issue {word}", room="#web")
        said.add(str(refusal.value).replace(word, "REF"))
    assert said == {"Issue REF not found here."}


def test_status_does_not_tell_a_hidden_issue_from_an_absent_one(room: Room) -> None:
    """An absent one counts as a failed call, and by some forms of REF as two calls: whoever counts along knows."""
    world = room.on.world
    hidden = world.add(world.api, "KeyError", "hidden")
    absent = str(uuid.uuid4()) if room.on.kind == BUGSINK else "987654321"
    refs = [hidden.id, absent, hidden.event_id, uuid.uuid4().hex, hidden.short_id, f"{world.api.upper()}-Z9"]
    before = room.lines("status", "#web")
    for ref in refs:
        with pytest.raises(BadReference):
            room.lines(f"issue {ref}", "#web")
        assert room.lines("status", "#web") == before, ref
    assert world.settings.url in before[0]
    assert "calls" in room.lines("status", "#all")[0], "where nothing is hidden, nothing can be found out"
