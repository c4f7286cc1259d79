"""A PostgreSQL that stands still (SIGSTOP): its kernel still takes packets, and nothing of ours waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from errbot_sentry.alerting.receive.receiver import WebhookAnswer
from errbot_sentry.domain.clock import SystemClock
from errbot_sentry.domain.errors import StoreAway, StoreError
from errbot_sentry.store.database import ANSWER_SECONDS, WORK_SECONDS
from tests.alerting import bodies
from tests.alerting.world import World
from tests.servers.postgres import Postgres
from tests.stores import store_at
from tests.waiting import until

# How much longer than promised this machine may take; the limits themselves are far below what a hang would cost.
SLOW = 10.0


@pytest.fixture
def world(postgres: Postgres, tmp_path: Path) -> Iterator[World]:
    """The flow with its own threads on a database of its own."""
    made = World(tmp_path, [{"rooms": ["#ops"]}], url=postgres.url(), clock=SystemClock(), threads=True)
    made.flow.start()
    yield made
    made.flow.close()


def hook(world: World, number: int) -> WebhookAnswer:
    return world.hook(bodies.sentry_issue(str(number)), request_id=f"r{number}")


def seconds(act: Callable[[], object]) -> float:
    begun = time.monotonic()
    act()
    return time.monotonic() - begun


def test_webhooks_are_refused_and_the_health_answers_while_it_hangs(postgres: Postgres, world: World) -> None:
    until(lambda: hook(world, 1).status in (200, 202), 20, "the first webhook")
    with postgres.hanging():
        with ThreadPoolExecutor(12) as pool:
            begun = time.monotonic()
            answers = list(pool.map(lambda number: hook(world, number), range(100, 160)))
            took = time.monotonic() - begun
        assert {answer.status for answer in answers} == {503}
        assert took < 2 * ANSWER_SECONDS + SLOW, "sixty at once, not one after the other"
        status = world.flow.status()
        assert not status.database_ok
        assert "does not answer" in status.database_error
        assert seconds(lambda: hook(world, 200)) < ANSWER_SECONDS + SLOW
        assert seconds(world.flow.status) < ANSWER_SECONDS + SLOW
    until(lambda: hook(world, 300).status in (200, 202), 20, "webhooks are stored again")
    until(lambda: world.flow.status().database_ok, 20, "the health is good again")


def test_it_ends_in_time_while_the_database_hangs(postgres: Postgres, world: World) -> None:
    until(lambda: hook(world, 1).status in (200, 202), 20, "the first webhook")
    with postgres.hanging():
        ended: list[bool] = []
        closing = threading.Thread(target=lambda: ended.append(world.flow.close(5.0)))
        closing.start()
        closing.join(5.0 + SLOW)
        assert ended == [True]
        assert seconds(world.store.close) < ANSWER_SECONDS + SLOW


def test_a_transaction_under_way_is_cut_off(postgres: Postgres) -> None:
    """The server stops in the middle of a statement; nobody has asked it to end."""
    store = store_at(postgres.url())
    store.open()

    def look() -> None:
        with store.read() as tx:
            tx._connection.execute(text("SELECT 1"))
            with postgres.hanging():
                begun = time.monotonic()
                try:
                    tx._connection.execute(text("SELECT 2"))
                finally:
                    assert time.monotonic() - begun < WORK_SECONDS + SLOW

    with pytest.raises(StoreAway, match="does not answer"):
        look()
    until(lambda: reads(store), 20, "the server answers again")


def reads(store: object) -> bool:
    try:
        with store.read() as tx:
            return bool(tx._connection.execute(text("SELECT 1")).scalar())
    except StoreError:
        return False


def test_a_database_that_hangs_at_the_start_is_refused_and_then_used(postgres: Postgres) -> None:
    store = store_at(postgres.url())
    with postgres.hanging(), pytest.raises(StoreAway), store.read():
        pass
    until(lambda: reads(store), 20, "the server answers")


def test_the_server_ends_what_takes_too_long_itself(postgres: Postgres) -> None:
    """A statement or a lock that takes for ever is reported by its own name, and the connection goes on to be used."""
    store = store_at(postgres.url())
    with pytest.raises(StoreError, match="takes too long"), store.write() as tx:
        tx._connection.execute(text("SELECT pg_sleep(60)"))
    with store.write() as holder:
        holder.alone(1)
        other = ThreadPoolExecutor(1).submit(_take_lock, store)
        with pytest.raises(StoreError, match="holds a lock"):
            other.result()
    assert reads(store)


def _take_lock(store: object) -> None:
    with store.write() as tx:
        tx.alone(1)
