"""`kill -9` with alerts under way, for real: a process, its file, a room."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.alerting import bodies
from tests.alerting.killable import Bot
from tests.waiting import until

Start = Callable[[], Bot]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a bot on the state of this test."""
    bots: list[Bot] = []

    def start_one() -> Bot:
        bots.append(Bot(f"sqlite:///{tmp_path / 'state.sqlite3'}", tmp_path))
        return bots[-1]

    yield start_one
    for bot in bots:
        bot.kill()


def test_between_202_and_delivery(start: Start) -> None:
    bot = start()
    assert bot.hook(bodies.sentry_issue("1"), "r1") == 202
    bot.kill()
    assert bot.said() == []
    after = start()
    after.up.touch()
    until(lambda: after.status()["queue"] == 0 and after.said(), what="the message")
    assert after.hook(bodies.sentry_issue("1"), "r1") == 200
    assert after.said() == ["#ops sentry_notification SHOP-1"]


def test_after_delivery_nothing_is_repeated(start: Start) -> None:
    bot = start()
    bot.up.touch()
    bot.hook(bodies.sentry_issue("1"))
    until(lambda: bot.said() and bot.status()["queue"] == 0, what="the message")
    bot.kill()
    after = start()
    after.hook(bodies.sentry_issue("2"))
    until(lambda: "#ops sentry_notification SHOP-2" in after.said(), what="the second message")
    assert after.said() == ["#ops sentry_notification SHOP-1", "#ops sentry_notification SHOP-2"]


def test_fifty_promises_and_a_kill(start: Start) -> None:
    """The first twenty are sent one by one, the rest is a storm and comes as a list; none is forgotten."""
    bot = start()
    bot.up.touch()
    promised = [number for number in range(50) if bot.hook(bodies.sentry_issue(str(number))) == 202]
    bot.kill()
    after = start()
    until(lambda: sum(after.status()["decided"].values()) == 50 and after.status()["queue"] == 0, 60, "all of them")
    assert len(promised) == 50
    assert after.status()["decided"] == {"first": 20, "storm": 30}
    assert len(set(after.said())) == 20
    assert len(after.said()) <= 21, "at most the one in flight is said twice"
