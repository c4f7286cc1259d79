"""Changes: who may, how many, what really happened, and who asked."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from errbot_sentry.config.settings import CommandSettings
from errbot_sentry.domain.conversation import Invocation
from errbot_sentry.domain.errors import (
    BadQuery,
    BadReference,
    BadToken,
    MissingScope,
    NotAllowed,
    NotAsAsked,
    RateLimited,
    ServerError,
    ServerFailed,
    TimedOut,
    Unreachable,
    Unsupported,
    UsageError,
)
from errbot_sentry.domain.issues import ARCHIVED, RESOLVED, UNRESOLVED, ArchiveUntil, Assignee, Comment, Issue
from errbot_sentry.server.http.failures import OUTCOME_UNKNOWN
from tests.rules.commands.world import ALICE, BOB, DIRECT, OPS, World, issue

LINK = "https://sentry.example.com/organizations/acme/issues/101/"


def statuses(world: World) -> dict[str, str]:
    return {known.short_id: known.status for known in world.server.stored.values()}


@pytest.mark.parametrize("command", ["resolve #1", "reopen WEB-1", "unresolve 101"])
def test_only_writers_may_change_and_others_learn_who_decides(command: str) -> None:
    world = World([issue(1)])
    with pytest.raises(NotAllowed, match="Ask an operator to add you to SENTRY_WRITERS"):
        world.lines(command, person=BOB)
    assert world.server.calls == []


def test_resolve_says_who_asked_and_leaves_a_note() -> None:
    world = World([issue(1)])
    assert world.lines("resolve WEB-1") == [f"WEB-1 resolved by alice: Problem 1 · {LINK}"]
    assert statuses(world) == {"WEB-1": RESOLVED}
    assert world.server.notes == [("101", "Resolved from chat, asked by alice in #ops, 2026-11-20 12:00 UTC.")]


def test_a_direct_message_is_not_named_as_a_room() -> None:
    world = World([issue(1)])
    world.lines("resolve WEB-1", conversation=DIRECT)
    assert world.server.notes[0][1].endswith("asked by alice in a direct message, 2026-11-20 12:00 UTC.")


@pytest.mark.parametrize("word", ["reopen", "unresolve"])
@pytest.mark.parametrize("status", [RESOLVED, ARCHIVED])
def test_reopen_from_resolved_and_archived(word: str, status: str) -> None:
    world = World([issue(1, status=status)])
    assert world.lines(f"{word} WEB-1")[0].startswith("WEB-1 reopened by alice")
    assert statuses(world) == {"WEB-1": UNRESOLVED}


def test_nothing_is_asked_where_nothing_is_to_do() -> None:
    world = World([issue(1, status=RESOLVED)])
    assert world.lines("resolve WEB-1") == [f"WEB-1 was resolved already: Problem 1 · {LINK}"]
    assert world.server.asked("resolve") == world.server.notes == []


def test_notes_can_be_switched_off_and_are_left_out_where_the_server_takes_none() -> None:
    quiet = World([issue(1)], settings=CommandSettings(author_notes=False))
    quiet.lines("resolve WEB-1")
    assert quiet.server.asked("note") == []
    mute = World([issue(1)], unsupported=["note"])
    assert mute.lines("resolve WEB-1") == [f"WEB-1 resolved by alice: Problem 1 · {LINK}"]


def test_a_failing_note_never_hides_the_change() -> None:
    world = World([issue(1)])
    world.server.fail("note", BadQuery("The server refuses the note."))
    (line,) = world.lines("resolve WEB-1")
    assert line.startswith("WEB-1 resolved (the note about who asked could not be left: The server refuses the note)")
    assert statuses(world) == {"WEB-1": RESOLVED}


def test_several_are_announced_and_each_is_answered() -> None:
    world = World([issue(1), issue(2, status=RESOLVED), issue(3)])
    lines = world.lines("resolve WEB-1 WEB-2, WEB-3 web-1")
    assert lines[0] == "Resolving 3 issues for alice."
    assert [line.partition(":")[0] for line in lines[1:]] == [
        "WEB-1 resolved by alice",
        "WEB-2 was resolved already",
        "WEB-3 resolved by alice",
    ]


def test_one_bad_reference_stops_all_before_the_first_change() -> None:
    world = World([issue(1), issue(2)])
    with pytest.raises(BadReference, match="WEB-9"):
        world.lines("resolve WEB-1 WEB-9 WEB-2")
    assert world.server.asked("resolve") == []


def test_more_than_ten_want_a_yes() -> None:
    world = World([issue(n) for n in range(1, 12)])
    all_rows = " ".join(f"WEB-{n}" for n in range(1, 12))
    with pytest.raises(UsageError, match="Resolving 11 issues: add --yes"):
        world.lines(f"resolve {all_rows}")
    assert world.server.asked("resolve") == []
    assert world.lines(f"resolve {all_rows} —yes") == [
        "Resolving 11 issues for alice.",
        "11 resolved by alice:",
        ", ".join(f"WEB-{n}" for n in range(1, 12)),
    ]
    assert set(statuses(world).values()) == {RESOLVED}


def test_more_than_a_hundred_are_too_many() -> None:
    world = World([issue(n) for n in range(1, 102)])
    with pytest.raises(UsageError, match="use at most 100"):
        world.lines("resolve --yes " + " ".join(f"WEB-{n}" for n in range(1, 102)))
    assert world.server.calls == []


def test_an_issue_named_often_is_looked_up_once() -> None:
    world = World([issue(n) for n in range(1, 4)])
    world.lines("issues")
    lines = world.lines("resolve " + " ".join(["#1-3"] * 300))
    assert world.server.asked("issues_by_id") == [("101", "102", "103")]
    assert world.server.asked("issue") == []
    assert len(world.server.asked("resolve")) == 3
    assert lines[0] == "Resolving 3 issues for alice."


def test_of_a_hundred_all_are_named_in_lines_that_fit() -> None:
    world = World([issue(n) for n in range(1, 101)])
    world.server.fail("resolve", BadQuery("The server refuses it."))
    lines = world.lines("resolve --yes " + " ".join(f"WEB-{n}" for n in range(1, 101)))
    assert lines[1].startswith("WEB-1 not changed: The server refuses it: ")
    assert lines[2] == "99 resolved by alice:"
    assert ", ".join(lines[3:]).split(", ") == [f"WEB-{n}" for n in range(2, 101)]
    assert all(len(line.encode()) <= 400 for line in lines)


def test_progress_now_and_then_where_it_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World([issue(n) for n in range(1, 31)])
    resolve = world.server.resolve

    def slowly(found: Issue) -> Issue:
        world.clock.advance(4)
        return resolve(found)

    monkeypatch.setattr(world.server, "resolve", slowly)
    lines = world.lines("resolve --yes " + " ".join(f"WEB-{n}" for n in range(1, 31)))
    assert [line for line in lines if "of 30" in line] == [
        "Resolving: 3 of 30 done.",
        "Resolving: 8 of 30 done.",
        "Resolving: 18 of 30 done.",
    ]


@pytest.mark.parametrize("made", [True, False])
def test_a_server_that_loses_answers_is_not_tried_for_ever(made: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred issues at 15 s each would keep one of Errbot's threads for half an hour."""
    world = World([issue(n) for n in range(1, 101)])
    resolve = world.server.resolve

    def lost(found: Issue) -> Issue:
        if made:
            resolve(found)
        raise TimedOut("No answer in time.")

    tried: list[str] = []
    monkeypatch.setattr(world.server, "resolve", lambda found: (tried.append(found.id), lost(found))[1])
    lines = world.lines("resolve --yes " + " ".join(f"WEB-{n}" for n in range(1, 101)))
    assert tried == ["101", "102", "103"]
    assert "97 not tried:" in lines
    assert ("3 resolved by alice:" in lines) is made


def test_a_server_that_says_yes_and_does_nothing_is_found_out() -> None:
    world = World([issue(1)])
    world.server.changes_hold = False
    assert world.lines("resolve WEB-1") == [f"WEB-1 not changed: the server still says unresolved: Problem 1 · {LINK}"]
    assert world.server.notes == []


@pytest.mark.parametrize(
    "error", [TimedOut("No answer in time."), Unreachable("Connection broken."), ServerFailed("The server failed.")]
)
def test_an_answer_lost_on_the_way_is_looked_up(error: ServerError, monkeypatch: pytest.MonkeyPatch) -> None:
    """The change may have been made although its answer never came."""
    world = World([issue(1), issue(2)])
    resolve = world.server.resolve

    def lost(found: Issue) -> Issue:
        if found.short_id == "WEB-1":
            resolve(found)
        raise error

    monkeypatch.setattr(world.server, "resolve", lost)
    lines = world.lines("resolve WEB-1 WEB-2")
    assert lines[1].startswith("WEB-1 resolved by alice")
    assert lines[2].startswith(f"WEB-2 not changed: {error}"[:-1])


def test_after_a_look_nothing_says_that_it_is_unknown() -> None:
    world = World([issue(1)])
    world.server.fail("resolve", ServerFailed("The server failed (502)." + OUTCOME_UNKNOWN))
    assert world.lines("resolve WEB-1") == [f"WEB-1 not changed: The server failed (502): Problem 1 · {LINK}"]


def test_what_nobody_can_know_is_said_and_the_rest_is_not_tried() -> None:
    world = World([issue(1), issue(2), issue(3)])
    world.server.fail("resolve", TimedOut("No answer in time."), times=9)
    original = world.server.issue  # also the look-up of the references

    def silent(issue_id: str) -> Issue:
        if world.server.asked("resolve"):
            raise TimedOut("No answer in time.")
        return original(issue_id)

    world.server.issue = silent
    lines = world.lines("resolve 101 102 103")
    assert lines[1].startswith("WEB-1 perhaps resolved, perhaps not: No answer in time: ")
    assert [line.partition(":")[0] for line in lines[2:]] == ["WEB-2 not tried", "WEB-3 not tried"]


@pytest.mark.parametrize(
    ("error", "rest"),
    [
        (RateLimited("Too many requests: try again in an hour.", wait=3600), "not tried"),
        (BadToken("The server refuses the token."), "not tried"),
        (MissingScope("The token may not do this."), "not tried"),
        (BadQuery("The server refuses it."), "resolved by alice"),
    ],
)
def test_a_partial_failure_is_reported_exactly(error: ServerError, rest: str) -> None:
    world = World([issue(1), issue(2)])
    world.server.fail("resolve", error)
    lines = world.lines("resolve WEB-1 WEB-2")
    assert lines[1].startswith(f"WEB-1 not changed: {error}"[:-1])
    assert lines[2].startswith(f"WEB-2 {rest}")
    assert (statuses(world)["WEB-2"] == RESOLVED) is (rest != "not tried")


def test_a_change_of_several_waits_for_the_rate_limit_and_goes_on() -> None:
    """A 429 changed nothing; the wait is said, and one that says no time costs a few seconds."""
    world = World([issue(1), issue(2)])
    world.server.fail("resolve", RateLimited("Too many requests.", wait=30))
    world.server.fail("resolve", RateLimited("Too many requests."))
    began = world.clock.monotonic()
    lines = world.lines("resolve WEB-1 WEB-2")
    assert lines[1:3] == [
        "The server's rate limit is reached after 0 of 2; going on in 30 s.",
        "The server's rate limit is reached after 0 of 2; going on in 5 s.",
    ]
    assert statuses(world) == {"WEB-1": RESOLVED, "WEB-2": RESOLVED}
    assert world.clock.monotonic() - began == 35


def test_a_change_waits_for_the_rate_limit_three_minutes_at_most() -> None:
    world = World([issue(number) for number in range(1, 6)])
    world.server.fail("resolve", RateLimited("Too many requests: try again in 50 s.", wait=50), times=9)
    began = world.clock.monotonic()
    lines = world.lines("resolve WEB-1 WEB-2")
    assert world.clock.monotonic() - began == 150
    assert lines[-2].startswith("WEB-1 not changed: Too many requests: try again in 50 s:")
    assert lines[-1].startswith("WEB-2 not tried")


@pytest.mark.parametrize(
    ("left", "listed", "said"),
    [
        (True, True, ""),
        (True, False, "the note about who asked may be missing: No answer in time"),
        (False, True, "the note about who asked may be missing: No answer in time"),
    ],
)
def test_a_note_whose_answer_was_lost_is_looked_for(
    left: bool, listed: bool, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the server lists notes (Bugsink does not)."""
    world = World([issue(1)], unsupported=[] if listed else ["comments"], settings=CommandSettings(author_notes=True))
    note = world.server.note

    def slow(noted: Issue, text: str) -> None:
        note(noted, text)
        if left:
            world.server.comments_by_issue[noted.id] = [Comment(text)]
        raise TimedOut("No answer in time." + OUTCOME_UNKNOWN)

    monkeypatch.setattr(world.server, "note", slow)
    (line,) = world.lines("resolve WEB-1")
    assert line.startswith("WEB-1 resolved ")
    assert (said in line) if said else ("note" not in line)


def test_what_the_server_cannot_do_is_refused_before_anything_is_done() -> None:
    world = World([issue(1), issue(2)], unsupported=["resolve"])
    with pytest.raises(Unsupported, match="has no resolve"):
        world.lines("resolve WEB-1")
    with pytest.raises(Unsupported):
        world.lines("resolve WEB-1 WEB-2")


def test_nothing_happens_before_the_answer_is_asked_for() -> None:
    world = World([issue(1)])
    world.commands.run("resolve", Invocation(ALICE, OPS, "WEB-1"))
    assert world.server.calls == []


def test_text_from_the_server_stays_text() -> None:
    world = World([issue(1, title="*x* [a](http://evil) `b`\n@channel")])
    (line,) = world.lines("resolve WEB-1")
    assert line.startswith("WEB-1 resolved by alice: *x* [a](http://evil) `b` @channel")
    assert "http://evil)" in line  # as text: the link of the line is the issue's own


@pytest.mark.parametrize(
    ("call", "command", "after"),
    [
        ("archive", "archive WEB-1 --until 2h", {"status": ARCHIVED, "substatus": None}),
        ("archive", "archive WEB-1 --until 2h", {"status": ARCHIVED, "substatus": "archived_until_escalating"}),
        ("resolve_in", "resolve WEB-1 --in shop@1.4", {"status": RESOLVED}),
        ("assign", "assign WEB-1 bob@example.org", {"assignee": Assignee("user", "carol")}),
    ],
)
def test_what_the_server_did_otherwise_is_never_called_done(call: str, command: str, after: dict[str, object]) -> None:
    """An old Sentry archives for ever and resolves at once, and says so: status alone is not what was asked."""
    world = World([issue(1)])
    world.server.stored["101"] = replace(issue(1), **after)
    world.server.fail(call, NotAsAsked("It took the request, but does not say that WEB-1 is as asked."))
    (line,) = world.lines(command)
    assert line.startswith("WEB-1 not changed as asked: It took the request, but does not say that WEB-1 is as asked:")
    assert world.server.notes == []


@pytest.mark.parametrize(
    ("call", "command", "seen"),
    [
        ("archive", "archive WEB-1 --until 2h", {"status": ARCHIVED, "substatus": None}),
        ("archive", "archive WEB-1 --until 10x", {"status": ARCHIVED, "substatus": "archived_until_escalating"}),
        ("resolve_in", "resolve WEB-1 --in shop@1.4", {"status": RESOLVED}),
        ("assign", "assign WEB-1 bob@example.org", {"assignee": Assignee("user", "carol")}),
    ],
)
def test_where_the_answer_is_lost_and_the_issue_does_not_show_all_of_it_nobody_knows(
    call: str, command: str, seen: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World([issue(1)])

    def lost(found: Issue, _how: object) -> Issue:
        world.server.stored[found.id] = replace(found, **seen)
        raise TimedOut("No answer in time.")

    monkeypatch.setattr(world.server, call, lost)
    (line,) = world.lines(command)
    assert re.match(r"WEB-1 perhaps .*, perhaps not: No answer in time, and it is \w+", line)
    assert world.server.notes == []


def test_where_the_issue_shows_all_of_it_a_lost_answer_is_no_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World([issue(1)])
    archive = world.server.archive

    def lost(found: Issue, until: ArchiveUntil) -> Issue:
        archive(found, until)
        raise TimedOut("No answer in time.")

    monkeypatch.setattr(world.server, "archive", lost)
    assert world.lines("archive WEB-1 --until 2h")[0].startswith("WEB-1 archived for 2h by alice")
    assert "perhaps archived for 3h" in world.lines("archive WEB-1 --until 3h")[0]  # it may have kept its old end


def test_many_that_fail_alike_share_a_line() -> None:
    """A hundred lines of it would fill the room, a second each on IRC."""
    world = World([issue(n) for n in range(1, 21)])
    world.server.fail("resolve", BadQuery("The server refuses it."), times=18)
    lines = world.lines("resolve --yes " + " ".join(f"WEB-{n}" for n in range(1, 21)))
    assert lines == [
        "Resolving 20 issues for alice.",
        "2 resolved by alice:",
        "WEB-19, WEB-20",
        "18 not changed: The server refuses it:",
        ", ".join(f"WEB-{n}" for n in range(1, 19)),
    ]
