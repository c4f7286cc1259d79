"""The pages for monitoring: anybody who reaches the port may fetch them, so they are found once in ten seconds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import Engine, event

from errbot_sentry.app import App
from tests.alerting.world import World


class Pages:
    """An app with a state, and how often its decisions were counted there."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder, [{"rooms": ["#ops"]}], poll=0)
        config = SimpleNamespace(BOT_DATA_DIR=str(folder), BOT_IDENTITY={}, BOT_PREFIX="!")
        bot = SimpleNamespace(mode="text", message_size_limit=10_000, bot_config=config, prefix="!")
        self.app = App(bot, lambda: True, lambda text: None, self.world.clock)
        self.app._alerts = self.world.flow
        self._statements: list[str] = []
        event.listen(Engine, "before_cursor_execute", lambda *each: self._statements.append(each[2]))

    def counted(self) -> int:
        return sum("FROM decisions" in statement for statement in self._statements)


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[Pages]:
    made = Pages(tmp_path)
    yield made
    made.app._store.close()


def test_pages_that_are_hammered_read_the_state_once_in_ten_seconds(pages: Pages) -> None:
    counts = []
    for seconds in (0, 5, 5):
        pages.world.clock.advance(seconds)
        for _ in range(50):
            assert pages.app._health_page().status in (200, 503)
            assert "sentry_reporter_decisions" in pages.app._metrics_page().text
        counts.append(pages.counted())
    assert counts == [1, 1, 2]


def test_of_many_who_ask_at_once_one_reads_the_state(pages: Pages) -> None:
    start = threading.Barrier(8)

    def fetch(_: int) -> int:
        start.wait(20)
        return pages.app._health_page().status

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(fetch, range(8))) <= {200, 503}
    assert pages.counted() == 1
