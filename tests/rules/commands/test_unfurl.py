"""Pasted addresses: a summary once, where it may be seen, and silence otherwise."""

from __future__ import annotations

import pytest

from errbot_sentry.config.settings import CommandSettings
from errbot_sentry.domain.conversation import Conversation, Invocation
from errbot_sentry.domain.errors import TimedOut
from tests.fakes.memory_server import URL
from tests.rules.commands.world import ALICE, BOB, DIRECT, OPS, ROOMS, VAULT, World, issue, rendered

ADDRESS = f"{URL}/organizations/acme/issues/101/"
HIDDEN = f"{URL}/organizations/acme/issues/103/"


@pytest.fixture
def world() -> World:
    return World([issue(1), issue(2), issue(3, VAULT)], access=ROOMS)


def unfurled(world: World, text: str, conversation: Conversation = OPS) -> list[list[str]]:
    return [rendered(view) for view in world.commands.unfurl.views(text, Invocation(BOB, conversation), lambda _: True)]


def test_two_lines(world: World) -> None:
    assert unfurled(world, f"look at <{ADDRESS}|this>, please") == [
        ["WEB-1 Problem 1", "unresolved · ✗ error · 1.2k events · 3 users · last seen a minute ago · ▁▂▄█"]
    ]


def test_once_per_issue_room_and_hour_by_whatever_address(world: World) -> None:
    assert len(unfurled(world, ADDRESS)) == 1
    assert unfurled(world, ADDRESS + "?query=x") == []
    assert unfurled(world, f"{URL}/organizations/acme/issues/WEB-1/") == []
    assert len(unfurled(world, ADDRESS, Conversation("#vault"))) == 1
    world.clock.advance(3601)
    assert len(unfurled(world, ADDRESS)) == 1


def test_silence_about_what_may_not_be_seen_or_is_not_ours(world: World) -> None:
    text = f"{HIDDEN} https://evil.example/organizations/acme/issues/101/ {URL}/organizations/acme/issues/999/"
    assert unfurled(world, text) == []
    assert len(unfurled(world, HIDDEN, Conversation("#vault"))) == 1
    assert unfurled(world, HIDDEN, DIRECT) == []


def test_a_failing_server_is_no_reason_to_talk(world: World) -> None:
    world.server.fail("issue", TimedOut("No answer in time."))
    assert unfurled(world, ADDRESS) == []
    assert unfurled(world, ADDRESS) == []  # other jobs wait meanwhile, so it is left alone for a while
    assert len(world.server.asked("issue")) == 1
    world.clock.advance(21)
    assert len(unfurled(world, ADDRESS)) == 1  # and the next one who pastes it gets it


def test_a_message_full_of_addresses_asks_little(world: World) -> None:
    unfurled(world, " ".join(f"{URL}/organizations/acme/issues/{n}/" for n in range(50)))
    assert len(world.server.asked("issue")) == 3


def test_nobody_makes_the_bot_ask_without_end(world: World) -> None:
    for start in range(1000, 1300, 3):
        text = " ".join(f"{URL}/organizations/acme/issues/{n}/" for n in range(start, start + 3))
        assert unfurled(world, text) == []
    assert len(world.server.asked("issue")) == 12
    assert len(unfurled(world, ADDRESS, Conversation("#vault"))) == 1  # another room is not silenced by that
    world.clock.advance(61)
    assert len(unfurled(world, ADDRESS)) == 1


def test_rooms_together_are_bounded_too(world: World) -> None:
    for n in range(1000, 1200):
        unfurled(world, f"{URL}/organizations/acme/issues/{n}/", Conversation(f"#room{n}"))
    assert len(world.server.asked("issue")) == 60


def test_a_long_message_does_not_keep_the_receiving_thread(world: World) -> None:
    """Each `http://` of it once looked through all the rest for "issue": eight seconds for 40 000 characters, hours for
    these. Now it is nothing."""
    for _ in range(200):
        assert not world.commands.unfurl.wanted("http://" * 1_000_000)


def test_it_can_be_switched_off() -> None:
    world = World([issue(1)], settings=CommandSettings(unfurl=False))
    assert unfurled(world, ADDRESS) == []
    assert world.server.calls == []


@pytest.mark.parametrize("text", ["", "issue WEB-1", "https://example.com/", "http://", "issues are bad"])
def test_most_messages_cost_nothing(world: World, text: str) -> None:
    assert not world.commands.unfurl.wanted(text)


def test_people_may_be_anybody(world: World) -> None:
    assert world.commands.unfurl.wanted(ADDRESS)
    assert len(unfurled(world, ADDRESS)) == 1


def test_who_may_not_run_the_command_learns_nothing_by_a_link(world: World) -> None:
    """Nobody is asked, and the same address by somebody who may is told as the first time."""
    asked: list[str] = []

    def may_look(address: str) -> bool:
        asked.append(address)
        return False

    views = world.commands.unfurl.views(f"{ADDRESS} https://evil.example/issues/1", Invocation(ALICE, OPS), may_look)
    assert list(views) == []
    assert (asked, world.server.calls) == ([ADDRESS], [])
    assert len(unfurled(world, ADDRESS)) == 1
