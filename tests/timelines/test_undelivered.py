"""A room that was dead gets its messages back: `alerts --undelivered` lists them, `resend` sends them again."""

from __future__ import annotations

from pathlib import Path

import pytest

from errbot_sentry.domain.access import Access
from errbot_sentry.domain.conversation import Person
from errbot_sentry.domain.errors import BadReference, NotAllowed, RoomUnknown, UsageError, UserError
from tests.alerting import bodies
from tests.alerting.world import World

EVE = Person("@eve", "Eve")
DAY = 86_400
SOME = ("101", "102", "103")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A bot whose room #ops has refused the messages about three problems, and takes messages again."""
    world = World(tmp_path, [{"rooms": ["#ops"]}, {"rooms": ["#web"]}], poll=0, access=Access(writers=("@ann",)))
    world.chat.refuses["#ops"] = RoomUnknown("There is no room #ops.")
    for number in SOME:
        world.hook(bodies.sentry_issue(number))
    world.at(3600)
    assert world.flow.status().failed == 3
    del world.chat.refuses["#ops"]
    return world


def numbers(world: World) -> list[str]:
    lines = world.type("alerts --undelivered").splitlines()
    return [line.split()[0].removeprefix("#") for line in lines if line.startswith("#")]


def short_ids(texts: list[str]) -> list[str]:
    return [word for text in texts for word in text.split() if word.startswith("SHOP-")]


def test_the_room_lists_what_it_did_not_take_and_why(world: World) -> None:
    lines = world.type("alerts --undelivered", person=EVE).splitlines()
    assert [line.split(" ago: ")[1] for line in lines[:3]] == [
        f"New SHOP-{number} ZeroDivisionError: division by zero {number} — There is no room #ops." for number in SOME
    ]
    assert lines[-1] == "Run !sentry resend N or !sentry resend all to send them again."
    assert world.type("alerts --undelivered -n 1").splitlines()[1] == "…and 2 more."
    assert world.type("alerts --undelivered", room="#web") == "Every message for this room was delivered."


def test_all_of_it_comes_back_once_in_order_and_before_what_is_new(world: World) -> None:
    assert world.type("resend all") == "3 messages will be sent again."
    world.hook(bodies.sentry_issue("104"))
    texts = world.at(3610).texts("#ops")
    assert short_ids(texts) == ["SHOP-101", "SHOP-102", "SHOP-103", "SHOP-104"]
    assert texts[0].startswith("(late, from 2026-03-02 12:00 UTC) New in shop: SHOP-101")
    assert texts[3].startswith("New in shop: SHOP-104")
    status = world.flow.status()
    assert (status.failed, status.queue) == (0, 0)
    assert world.type("resend all") == "Every message for this room was delivered."
    assert world.at(7200).texts("#ops") == []


def test_one_of_them_comes_back_also_over_a_restart(world: World) -> None:
    second = numbers(world)[1]
    assert world.type(f"resend #{second}") == "1 message will be sent again."
    world.boot()
    assert short_ids(world.at(3610).texts("#ops")) == ["SHOP-102"]
    assert second not in numbers(world)
    assert world.flow.status().failed == 2


def test_a_room_that_is_dead_still_sets_it_aside_again(world: World) -> None:
    world.chat.refuses["#ops"] = RoomUnknown("There is no room #ops.")
    world.type("resend all")
    world.at(3 * 3600)
    assert world.flow.status().failed == 3
    assert len(numbers(world)) == 3


@pytest.mark.parametrize("age", [29, 31])
def test_what_is_older_than_a_month_is_gone(world: World, age: int) -> None:
    first, *_ = numbers(world)
    world.clock.advance(age * DAY)
    if age < 30:
        assert world.type("resend all") == "3 messages will be sent again."
        return
    assert world.type(f"resend {first}") == "1 message is gone: older than 30 days."
    assert world.type("resend all") == "2 messages are gone: older than 30 days."
    with pytest.raises(BadReference, match="kept for 30 days"):
        world.type(f"resend {first}")


@pytest.mark.parametrize(
    ("line", "where", "person", "error"),
    [
        ("resend all", "#ops", EVE, NotAllowed),
        ("resend all", "", None, UserError),
        ("alerts --undelivered", "", None, UserError),
        ("resend", "#ops", None, UsageError),
        ("resend x", "#ops", None, UsageError),
        ("resend 99999", "#ops", None, BadReference),
    ],
)
def test_who_may_not_and_what_cannot_be_is_refused(
    world: World, line: str, where: str, person: Person | None, error: type[Exception]
) -> None:
    with pytest.raises(error):
        world.type(line, room=where, **({"person": person} if person else {}))


def test_another_room_does_not_send_this_rooms_messages(world: World) -> None:
    first, *_ = numbers(world)
    with pytest.raises(BadReference):
        world.type(f"resend {first}", room="#web")
    assert world.type("resend all", room="#web") == "Every message for this room was delivered."


def test_a_message_of_a_project_that_is_hidden_by_now_is_neither_shown_nor_sent(world: World) -> None:
    world.restart(Access(writers=("@ann",), room_projects={"#ops": ("web",)}))
    assert world.type("alerts --undelivered") == "Every message for this room was delivered."
    assert world.type("resend all") == "Every message for this room was delivered."
    assert world.at(3700).texts() == []
