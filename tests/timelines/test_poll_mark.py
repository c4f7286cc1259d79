"""How far the poller has read: a mark that moves, and that no clock can put out of reach."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from errbot_sentry.alerting.receive.poller import MOST_PAGES, PAGE_SIZE
from tests.alerting.world import World

ROUTES = [{"rooms": ["#ops"]}]


def test_what_was_read_once_is_not_read_again(tmp_path: Path) -> None:
    """After a backlog of pages, a quiet server is asked for one page again."""
    world = World(tmp_path, ROUTES)
    world.server.event("old")
    world.at(1)
    for number in range(PAGE_SIZE * 3):
        world.server.event(f"n{number}")
    world.at(200)
    world.server.asked.clear()
    world.at(600)
    assert world.server.asked
    assert {cursor for _query, cursor in world.server.asked} == {None}


def test_a_clock_that_was_ahead_does_not_stop_polling(tmp_path: Path) -> None:
    """A machine that starts with a wrong date and is put right by NTP: the mark's next time lies years ahead."""
    world = World(tmp_path, ROUTES)
    world.server.event("old")
    world.at(1)
    with world.store.write() as tx:
        (mark,) = tx.polls.all()
        tx.polls.put(replace(mark, next_at=world.clock.now().timestamp() + 86400 * 365))
    world.flow.close()
    world.boot()
    world.server.event("fresh")
    assert world.at(400).texts() == ["New in shop: SHOP-fresh KeyError: fresh — error, 1 event"]


def test_a_time_that_lies_ahead_does_not_hide_what_comes_later(tmp_path: Path) -> None:
    """An issue that was last seen years ahead put the mark there: then no issue was newer than the first poll."""
    world = World(tmp_path, ROUTES)
    for number in range(PAGE_SIZE * (MOST_PAGES + 1)):
        world.server.event(f"old{number}")
    world.server.change("old0", last_seen=datetime(3000, 1, 1, tzinfo=timezone.utc))
    assert world.at(100).texts() == []
    world.server.event("fresh")
    assert world.at(400).texts() == ["New in shop: SHOP-fresh KeyError: fresh — error, 1 event"]
