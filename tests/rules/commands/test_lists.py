"""The last list of each conversation: pages, numbers that never lie, and forgetting."""

from __future__ import annotations

import pytest

from errbot_sentry.commands import list_memory
from errbot_sentry.domain.conversation import Conversation, Person
from errbot_sentry.domain.errors import BadReference
from errbot_sentry.domain.issues import TagSpread
from tests.clocks import VirtualClock
from tests.rules.commands.world import ALICE, API, BOB, DIRECT, NOW, OPS, World, issue


def ids(lines: list[str]) -> list[str]:
    return [" ".join(line.split()[:2]) for line in lines if line.startswith("#")]


def test_pages_number_on_and_back() -> None:
    world = World([issue(n) for n in range(1, 6)])
    assert ids(world.lines("issues -n 2")) == ["#1 WEB-1", "#2 WEB-2"]
    assert ids(world.lines("next")) == ["#3 WEB-3", "#4 WEB-4"]
    last = world.lines("next")
    assert ids(last) == ["#5 WEB-5"]
    assert not any("more:" in line for line in last)
    with pytest.raises(BadReference, match="last page"):
        world.lines("next")
    assert ids(world.lines("prev")) == ["#3 WEB-3", "#4 WEB-4"]
    assert ids(world.lines("prev")) == ["#1 WEB-1", "#2 WEB-2"]
    with pytest.raises(BadReference, match="first page"):
        world.lines("prev")
    assert "WEB-5" in world.lines("issue #5")[0]  # still on the screen


def test_a_row_keeps_its_issue_when_the_list_moves_on_the_server() -> None:
    world = World([issue(1), issue(2)])
    world.lines("issues")
    world.server.stored["103"] = issue(3, last_seen=NOW)
    assert "WEB-1" in world.lines("issue #1")[0]


def test_a_list_is_forgotten_after_an_hour() -> None:
    world = World([issue(1)])
    world.lines("issues")
    world.clock.advance(3599)
    world.lines("issue #1")
    world.clock.advance(2)
    with pytest.raises(BadReference, match=r"(in|from) the last hour"):
        world.lines("resolve #1")
    with pytest.raises(BadReference, match=r"(in|from) the last hour"):
        world.lines("next")
    assert world.server.asked("resolve") == []


def test_a_numbered_list_outlives_the_list_of_issues_before_it() -> None:
    """Bob's list of tags is two minutes old; that his list of issues is over an hour old makes no guess of it."""
    world = World([issue(1), issue(2)])
    world.lines("issues", BOB)
    world.clock.advance(1800)
    world.lines("issues")
    world.clock.advance(1740)
    world.server.spreads = (TagSpread("a", (), 1), TagSpread("b", (), 1))
    world.lines("tags WEB-1", BOB)
    world.clock.advance(120)
    with pytest.raises(BadReference, match="could mean two issues"):
        world.lines("issue #2")


def test_a_row_beyond_the_list_says_how_long_it_is() -> None:
    world = World([issue(1), issue(2)])
    world.lines("issues")
    for word in ("#3", "#0"):
        with pytest.raises(BadReference, match=r"There's no #[03]; the last list has 2 rows"):
            world.lines(f"issue {word}")


def test_a_row_that_could_mean_two_issues_is_refused() -> None:
    world = World([issue(1), issue(2, API), issue(3)])
    world.lines("issues -p web")
    world.clock.advance(1)
    assert "WEB-1" in world.lines("issue #1", person=BOB)[0]  # the one list that is here
    world.lines("issues -p api", person=BOB)
    with pytest.raises(BadReference, match="could mean two issues"):
        world.lines("resolve #1", person=ALICE)
    assert "WEB-3" in world.lines("issue #2", person=ALICE)[0]  # only her list has that row
    assert "API-2" in world.lines("issue #1", person=BOB)[0]  # nothing was shown after his
    world.clock.advance(1)
    world.lines("issues -p web", person=ALICE)
    assert "WEB-1" in world.lines("issue #1", person=ALICE)[0]


def test_lists_that_agree_are_not_ambiguous() -> None:
    world = World([issue(1), issue(2)])
    world.lines("issues")
    world.clock.advance(1)
    world.lines("issues", person=BOB)
    assert "WEB-1" in world.lines("issue #1", person=ALICE)[0]


def test_direct_messages_and_threads_are_conversations_of_their_own() -> None:
    world = World([issue(1)])
    world.lines("issues", person=ALICE, conversation=DIRECT)
    with pytest.raises(BadReference):
        world.lines("issue #1", person=BOB, conversation=DIRECT)
    world.lines("issues", conversation=Conversation("#ops", "1.1"))
    with pytest.raises(BadReference):
        world.lines("issue #1", person=ALICE, conversation=OPS)


def test_next_after_two_lists_of_others_is_not_guessed() -> None:
    world = World([issue(n) for n in range(1, 6)])
    world.lines("issues -n 2", person=ALICE)
    assert ids(world.lines("next", person=BOB)) == ["#3 WEB-3", "#4 WEB-4"]
    assert ids(world.lines("next", person=ALICE)) == ["#3 WEB-3", "#4 WEB-4"]  # hers did not move
    with pytest.raises(BadReference, match="none is yours"):
        world.lines("next", person=Person("carol", "carol"))


def test_a_cursor_that_repeats_ends_the_walk() -> None:
    """GlitchTip's order by priority can send the same page for ever."""
    list_page = list_memory.ListPage("abc", 10)
    shown = list_memory.ShownList(
        query=None, shown_at=NOW, list_pages=(list_memory.ListPage(None, 0), list_page), next="abc"
    )
    with pytest.raises(BadReference, match="repeats itself"):
        shown.following()


def test_the_number_of_lists_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_memory, "_MOST_LISTS", 3)
    kept = list_memory.LastLists(VirtualClock())
    for number in range(5):
        shown = list_memory.ShownList(query=None, shown_at=NOW)
        kept.keep(Conversation(f"#room{number}"), ALICE, shown)
    assert [kept.own(Conversation(f"#room{number}"), ALICE) is not None for number in range(5)] == [
        False,
        False,
        True,
        True,
        True,
    ]


def test_what_others_look_at_since_is_a_meaning_too() -> None:
    world = World([issue(1), issue(2)])
    world.server.spreads = (TagSpread("a", (), 1), TagSpread("b", (), 1))
    world.lines("issues", person=ALICE)
    world.clock.advance(1)
    world.lines("tags WEB-2", person=BOB)
    with pytest.raises(BadReference, match="could mean two issues"):
        world.lines("resolve #1", person=ALICE)
    assert "WEB-2" in world.lines("issue #2", person=ALICE)[0]
    world.clock.advance(1)
    world.lines("issues", person=ALICE)
    assert "WEB-1" in world.lines("issue #1", person=ALICE)[0]


def test_who_reads_along_and_looks_closer_is_not_misunderstood() -> None:
    world = World([issue(1), issue(2)])
    world.server.spreads = (TagSpread("a", (), 1), TagSpread("b", (), 1))
    world.lines("issues", person=ALICE)
    world.clock.advance(1)
    world.lines("tags #2", person=BOB)
    with pytest.raises(BadReference, match="could mean two issues"):
        world.lines("issue #1", person=BOB)
    assert "WEB-2" in world.lines("issue #2", person=BOB)[0]


def test_a_row_without_its_sign_is_no_issue_number() -> None:
    """`resolve 2` after a list means #2 to nearly everybody; on a small GlitchTip there is an issue of that number."""
    world = World([issue(1), issue(2), issue(3, id="2", short_id="API-9")])
    world.lines("issues -n 2")
    for person in (ALICE, BOB):
        with pytest.raises(BadReference, match=r"2 is the number of an issue, and #2 is a row .*Use #2, or"):
            world.lines("issue 2", person=person)
    with pytest.raises(BadReference, match="Use #2"):
        world.lines("resolve 2")
    assert "API-9" in world.lines("issue 2", conversation=DIRECT)[0]  # no list there
    world.clock.advance(3601)
    assert "API-9" in world.lines("issue 2")[0]


def test_the_next_page_after_the_previous_one_has_its_numbers_again() -> None:
    world = World([issue(n) for n in range(1, 6)])
    for command, first in (("issues -n 2", 1), ("next", 3), ("next", 5), ("prev", 3), ("prev", 1), ("next", 3)):
        assert world.lines(command)[0].startswith(f"#{first} WEB-{first} ")
    assert "WEB-5" in world.lines("issue #5")[0]
