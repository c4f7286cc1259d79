"""Every other command against a real Bugsink: what it can do is done there, what it cannot is refused by name."""

from __future__ import annotations

import pytest

from errbot_sentry.domain.errors import Unsupported, UsageError
from tests.contract.test_commands_on_bugsink import Room, room

__all__ = ["room"]

REFUSED = [
    ("tags #1", "count tags"),
    ("tags #1 shop", "count tags"),
    ("graph -p bot-*", "name one issue"),
    ("assign #1 me", "no assignee"),
    ("assign #1 bob@example.org", "no assignee"),
    ("assign #1 nobody", "no assignee"),
    ("priority #1 high", "no priority"),
    ("merge #1 #2", "merge"),
    ("archive #1 --until escalating", "escalating"),
    ("archive #1 --until 10u", "users"),
    ("archive #1 --until 10x", "10x/1h"),
    ("resolve #1 --in shop@1.5", "@next or @latest"),
    ("resolve #1 --in @commit:acme/shop@0123abc", "@next or @latest"),
    ("link alice@example.org", "no user accounts to link"),
    ("issues -e production", "environment"),
    ("issues -s user", "users"),
]


def test_what_bugsink_cannot_do_is_refused_by_name_and_changes_nothing(room: Room) -> None:
    room.project.send_event("ValueError", "older")
    room.project.send_event("ZeroDivisionError", "division by zero")
    room.lines("issues")
    before = _states(room)
    for typed, reason in REFUSED:
        with pytest.raises(Unsupported) as caught:
            room.lines(typed)
        assert reason in str(caught.value), typed
    assert _states(room) == before


def test_looking_closer(room: Room) -> None:
    for release in ("shop@1.4", "shop@1.5"):
        room.project.send_event("ZeroDivisionError", "division by zero", tags={"shop": "berlin"}, release=release)
    room.lines("issues")
    events = room.lines("events #1")
    assert [line.split()[0] for line in events[1:]] == ["#1", "#2"]
    assert "tags: shop=berlin" in room.lines("issue #1")
    graph = room.lines("graph #1 -t 24h")
    assert "2 events" in graph[0]
    assert "█" in graph[1]
    assert {line.split()[1] for line in room.lines("releases")} == {"shop@1.4", "shop@1.5"}


def test_archive_for_a_time_until_a_number_and_for_ever(room: Room) -> None:
    room.project.send_event("ZeroDivisionError", "division by zero")
    (row,) = room.project.issues()
    for option, words in (
        ("", "archived by alice"),
        (" --until 2h", "archived for 2h"),
        (" --until 10x/5m", "archived until 10 more events in 5m"),
    ):
        assert words in room.lines(f"archive {row['friendly_id']}{option}")[0]
        assert room.project.issue(row["id"])["is_muted"] is True
        assert row["friendly_id"] in room.lines("issues is:archived")[0]
        assert "reopened by" in room.lines(f"reopen {row['friendly_id']}")[0]
        assert room.project.issue(row["id"])["is_muted"] is False


def test_resolve_in_the_next_release(room: Room) -> None:
    room.project.send_event("ZeroDivisionError", "division by zero", release="shop@1.4")
    (row,) = room.project.issues()
    assert "resolved in the next release" in room.lines(f"resolve {row['id']} --in @next")[0]
    found = room.project.issue(row["id"])
    assert (found["is_resolved"], found["is_resolved_by_next_release"]) == (True, True)


def test_a_note_is_there_word_for_word(room: Room) -> None:
    room.project.send_event("ZeroDivisionError", "division by zero")
    (row,) = room.project.issues()
    room.lines(f"note {row['friendly_id']} it's <b>not</b> “us”")
    assert room.project.comments(row["id"]) == ["it's <b>not</b> “us”\n\n— alice, from chat"]


def test_twelve_at_once_want_a_yes(room: Room) -> None:
    for number in range(12):
        room.project.send_event(f"Error{chr(65 + number)}", "broke")
    room.lines("issues -n 12")
    with pytest.raises(UsageError, match="add --yes"):
        room.lines("resolve #1-12")
    lines = room.lines("resolve #1-12 --yes")
    assert lines[:2] == ["Resolving 12 issues for alice.", "12 resolved by alice:"]
    assert all(row["is_resolved"] for row in room.project.issues())
    assert room.lines("issues") == [f"No unresolved issues in {room.project.slug}."]


def _states(room: Room) -> list[tuple[object, ...]]:
    return [(row["id"], row["is_resolved"], row["is_muted"]) for row in room.project.issues()]
