"""The commands against a real Bugsink, as a person in a room would use them; what it cannot do is refused by name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from errbot_sentry.alerting.canary_links import Link, LinkState, Progress
from errbot_sentry.commands.dispatch import Commands
from errbot_sentry.config.secrets import Secret
from errbot_sentry.config.settings import CommandSettings, ServerSettings
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.clock import SystemClock
from errbot_sentry.domain.conversation import Conversation, Invocation, Person
from errbot_sentry.domain.errors import UserError
from errbot_sentry.server.connection import Connection
from tests.rules.commands.world import rendered
from tests.servers.bugsink import BugsinkProject
from tests.stores import store_at

ALICE = Person("alice!a@host", "alice")
OPS = Conversation("#ops")


class Probe:
    """Sends the test event straight to the project, and looks for it there."""

    def __init__(self, project: BugsinkProject, connection: Connection) -> None:
        self._project = project
        self._connection = connection

    def begin(self, person: Person) -> str:
        return self._project.send_event("TestEvent", f"asked by {person.name}")

    def progress(self, event_id: str) -> Progress:
        found = self._connection.server().issue_of_event(event_id)
        return Progress((Link("shown", LinkState.OK, seconds=0.0),) if found else (), found)


class Room:
    """One room with one project and somebody who types."""

    def __init__(self, project: BugsinkProject) -> None:
        self.project = project
        clock = SystemClock()
        self.connection = Connection(ServerSettings(project.url, "auto", Secret(project.token)), clock)
        self.commands = Commands(
            self.connection.server,
            Access(room_projects={"#ops": (project.slug,), "#other": ("nothing-*",)}, writers=("alice!*",)),
            CommandSettings(),
            clock,
            store_at("sqlite://"),
            tests=Probe(project, self.connection),
        )

    def lines(self, typed: str, conversation: Conversation = OPS) -> list[str]:
        name, _, words = typed.partition(" ")
        return [
            line for view in self.commands.run(name, Invocation(ALICE, conversation, words)) for line in rendered(view)
        ]


@pytest.fixture
def room(bugsink_project: BugsinkProject) -> Iterator[Room]:
    made = Room(bugsink_project)
    yield made
    made.connection.close()


def test_from_the_list_to_the_failing_frame_to_resolved(room: Room) -> None:
    room.project.send_event("ValueError", "the older *problem*")
    room.project.send_event("ZeroDivisionError", "division by zero")
    listed = room.lines("issues")
    assert len(listed) == 2
    assert listed[0].startswith("#1 ")
    assert "ZeroDivisionError: division by zero" in listed[0]
    assert "ValueError: the older *problem*" in listed[1]

    whole = "\n".join(room.lines("issue #1"))
    assert "at shop.py:12 in checkout: `return total(basket) / len(basket)`" in whole
    trace = room.lines("trace #1")
    assert "  >   12     return total(basket) / len(basket)" in trace
    assert "      basket = []" in trace

    (answer,) = room.lines("resolve #1")
    assert "resolved by alice" in answer
    (first, second) = room.project.issues()
    assert {first["calculated_type"]: first["is_resolved"], second["calculated_type"]: second["is_resolved"]} == {
        "ZeroDivisionError": True,
        "ValueError": False,
    }
    resolved = next(row for row in (first, second) if row["is_resolved"])
    assert any("asked by alice in #ops" in note for note in room.project.comments(resolved["id"]))
    assert [("ValueError" in line) for line in room.lines("issues")] == [True]
    assert "ZeroDivisionError" in room.lines("issues is:resolved")[0]
    assert "reopened by alice" in room.lines(f"reopen {resolved['friendly_id']}")[0]
    assert room.project.issue(resolved["id"])["is_resolved"] is False


def test_every_form_of_reference(room: Room) -> None:
    room.project.send_event("KeyError", "'x'")
    (row,) = room.project.issues()
    forms = [
        row["friendly_id"].lower(),
        row["id"],
        row["id"].replace("-", ""),
        f"{room.project.url}/issues/issue/{row['id']}/event/last/",
        "@latest",
    ]
    for form in forms:
        assert row["friendly_id"] in room.lines(f"issue {form}")[0]
        with pytest.raises(UserError):
            room.lines(f"issue {form}", conversation=Conversation("#other"))


def test_pages(room: Room) -> None:
    for name in ("A", "B", "C", "D", "E"):
        room.project.send_event(f"{name}Error", "broke")
    first = room.lines("issues -n 2")
    assert [line.partition(" ")[0] for line in first] == ["#1", "#2", "more:"]
    following = room.lines("next")
    assert [line.partition(" ")[0] for line in following] == ["#3", "#4", "more:"]
    assert [line.partition(" ")[0] for line in room.lines("next")] == ["#5"]
    kinds = [line.split()[2] for line in (*first[:2], *following[:2])]
    assert kinds == ["EError:", "DError:", "CError:", "BError:"]
    assert [line.split()[:2] for line in room.lines("prev")] == [line.split()[:2] for line in following]


def test_the_test_event_is_found(room: Room) -> None:
    sent, shown = room.lines("test")
    assert sent.startswith("Captured test event")
    assert "The server shows it: " in shown or "could not look for it" in shown
    (row,) = room.project.issues()
    assert row["calculated_type"] == "TestEvent"


def test_the_overview_and_the_status(room: Room) -> None:
    assert room.lines("sentry")[0] == f"Connected to Bugsink at {room.project.url}, projects: {room.project.slug}"
    status = room.lines("status")[0]
    assert status.startswith("server ok: Bugsink · ")
    assert status.endswith(room.project.url)
    assert room.lines("projects")[0].startswith(f"#1 {room.project.slug}")
