"""What is dear to find is found once in so many seconds, however many ask."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import event

from errbot_sentry.app import App
from errbot_sentry.domain.cached_value import CachedValue
from errbot_sentry.domain.errors import StoreError
from tests.alerting.world import VirtualClock, World


def test_it_is_found_again_when_its_time_is_over() -> None:
    clock, numbers = VirtualClock(), iter(range(10))
    kept = CachedValue(lambda: next(numbers), 10.0, clock)
    assert [kept.get(), kept.get()] == [0, 0]
    clock.advance(9.9)
    assert kept.get() == 0
    clock.advance(0.1)
    assert [kept.get(), kept.get()] == [1, 1]


def test_many_that_ask_at_once_have_it_found_once() -> None:
    found: list[int] = []
    event_filter = threading.Barrier(8)
    kept = CachedValue(lambda: found.append(1) or len(found), 10.0, VirtualClock())

    def invocation(_: int) -> int:
        event_filter.wait(20)
        return kept.get()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(invocation, range(8))) == {1}
    assert found == [1]


def test_a_failure_is_not_kept() -> None:
    answers = iter([StoreError("Not now."), 5])

    def find() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    kept = CachedValue(find, 10.0, VirtualClock())
    with pytest.raises(StoreError):
        kept.get()
    assert kept.get() == 5


def test_pages_that_are_hammered_ask_the_state_once_in_ten_seconds(tmp_path: Path) -> None:
    """They count all kept decisions, and anybody may fetch them."""
    world = World(tmp_path, [{"rooms": ["#ops"]}], poll=0)
    config = SimpleNamespace(BOT_DATA_DIR=str(tmp_path), BOT_IDENTITY={}, BOT_PREFIX="!")
    bot = SimpleNamespace(mode="text", message_size_limit=10_000, bot_config=config, prefix="!")
    app = App(bot, lambda: True, lambda text: None, world.clock)
    app._alerts = world.flow
    asked: list[str] = []
    event.listen(world.store._engine, "before_cursor_execute", lambda *each: asked.append(each[2]))
    counts = []
    for seconds in (0, 5, 5):
        world.clock.advance(seconds)
        for _ in range(50):
            assert app._health_page().status in (200, 503)
            assert "sentry_reporter_decisions" in app._metrics_page().text
        counts.append(sum("FROM decisions" in statement for statement in asked))
    app._store.close()
    assert counts == [1, 1, 2]
