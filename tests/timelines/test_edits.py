"""Edits of notifications: the newest mark comes to stand on each, over refusals, outages and kills."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from errbot_sentry.alerting.notify import sender
from errbot_sentry.domain.alerts import MessageKind
from errbot_sentry.domain.conversation import Conversation
from errbot_sentry.domain.errors import MessageTooLong, SendError, SendLimited, StoreError, TokenRefused
from errbot_sentry.store import outbox_table
from errbot_sentry.store.database import Store
from errbot_sentry.store.records import Message
from tests.alerting import bodies
from tests.alerting.world import Chat, VirtualClock, World
from tests.stores import store_at

DAY = 86_400.0


class Killed(BaseException):
    """The process ends at this moment."""


def world_with(folder: Path, problems: int) -> World:
    """A flow with the notifications m1, m2 and so on."""
    clock = VirtualClock()
    world = World(folder, [{"rooms": ["#ops"]}], poll=0, clock=clock, chat=Chat(clock, threads=True))
    for number in range(problems):
        world.hook(bodies.sentry_issue(str(number)))
        world.at(world.seconds + 1)
    assert len(world.chat.sent) == problems
    return world


def mark(world: World, number: int, words: str) -> None:
    world.flow.mark(Conversation("#ops", f"m{number}"), words)


def edits_of(world: World, number: int) -> list[str]:
    """What was written onto a notification, oldest first."""
    return [each.text.rpartition(" · ")[2] for each in world.chat.edited if each.thread == f"m{number}"]


REFUSALS: tuple[BaseException | None, ...] = (
    None,
    SendLimited("Slower.", 7.0),
    SendError("It failed."),
    TokenRefused("Slack", "invalid_auth"),
    Killed(),
)


@pytest.mark.parametrize("seed", range(10))
def test_each_notification_shows_its_newest_mark_in_the_end_and_no_mark_is_written_twice(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    world, wanted = world_with(tmp_path, 4), {}
    for step in range(80):
        world.chat.edit_refuses = chance.choice(REFUSALS)
        world.chat.up = chance.random() < 0.8
        try:
            for turn in range(chance.randrange(3)):
                number = chance.randint(1, 4)
                wanted[number] = f"resolved by {step}x{turn}"
                mark(world, number, wanted[number])
            world.at(world.seconds + chance.choice((0.1, 3, 20)))
        except Killed:
            world.boot()
    world.chat.up, world.chat.edit_refuses = True, None
    world.at(world.seconds + 600)
    for number, words in wanted.items():
        made = edits_of(world, number)
        assert made[-1] == words
        assert len(made) == len(set(made))
    assert world.flow.status().edits_given_up == 0


def test_a_mark_waits_for_days_while_the_chat_is_away_and_is_given_up_where_it_is_refused_after_a_day(
    tmp_path: Path,
) -> None:
    world = world_with(tmp_path, 2)
    world.chat.drop()
    for number in (1, 2):
        mark(world, number, "resolved by Ann")
    world.at(2 * DAY)
    world.chat.up, world.chat.edit_refuses = True, SendLimited("Slower.", 7.0)
    world.step("alert delivery")
    world.chat.edit_refuses = None
    world.at(2 * DAY + 60)
    assert edits_of(world, 1) + edits_of(world, 2) == ["resolved by Ann"]
    assert world.flow.status().edits_given_up == 1


def test_what_is_never_taken_is_given_up_at_once(tmp_path: Path) -> None:
    world = world_with(tmp_path, 1)
    world.chat.edit_refuses = MessageTooLong("Too long.")
    mark(world, 1, "resolved by Ann")
    world.at(world.seconds + DAY)
    assert (world.chat.edits_tried, world.flow.status().edits_given_up) == (1, 1)


def test_a_mark_outlives_a_database_that_is_away_during_the_edit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_with(tmp_path, 1)
    world.chat.up = False
    mark(world, 1, "resolved by Ann")
    world.chat.up = True

    def away(*_: object) -> bool:
        raise StoreError("The database is gone.")

    with monkeypatch.context() as patch:
        patch.setattr(sender, "is_still_visible", away)
        world.clock.at += timedelta(seconds=10)
        with pytest.raises(StoreError):
            world.step("alert delivery")
    world.step("alert delivery")  # as its thread does after a pause
    world.at(world.seconds + 61)
    assert edits_of(world, 1) == ["resolved by Ann"]
    assert world.flow.status().edits_given_up == 0


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = request.getfixturevalue("postgres").url() if request.param == "postgresql" else tmp_path / "state.sqlite3"
    made = store_at(url)
    made.open()
    yield made
    made.close()


def test_one_bot_makes_an_edit_and_a_newer_mark_waits_until_it_has(store: Store) -> None:
    with store.write() as tx:
        tx.edits.want(1, "old", 100.0)
        claimed = tx.edits.claim(100.0, 160.0)
        assert claimed is not None
        assert tx.edits.claim(100.0, 160.0) is tx.edits.claim(100.0, 160.0, 1) is None
        assert tx.edits.next_due() == 160.0
        tx.edits.want(1, "new", 101.0)
        assert tx.edits.claim(102.0, 162.0) is None
        tx.edits.retry(claimed, 500.0, 3)
        newer = tx.edits.claim(103.0, 163.0)
        assert newer is not None
        assert (newer.mark, newer.tries) == ("new", 0)
        tx.edits.end(claimed)
        tx.edits.end(newer)
        assert tx.edits.next_due() is None


def test_marks_are_bounded_and_go_with_their_notifications(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_table, "_MOST_EDITS", 10)
    with store.write() as tx:
        kept = tx.outbox.add(Message("#ops", MessageKind.NOTIFICATION, {}), 1.0)
        dropped = sum(tx.edits.want(number, "mark", float(number)) for number in range(kept, kept + 15))
        assert dropped == 5
        tx.edits.want(kept, "mark", 1e6)
        tx.edits.forget()
        assert tx.edits.claim(1e6, 1e6 + 60) is not None
        assert tx.edits.claim(1e6, 1e6 + 60) is None
