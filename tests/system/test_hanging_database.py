"""A PostgreSQL that stands still (SIGSTOP): its kernel still takes packets, and nothing of ours waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from errbot_sentry.alerting.receive.receiver import WebhookAnswer
from errbot_sentry.alerting.service import AlertService
from errbot_sentry.chat.render.templates import Templates
from errbot_sentry.config.routes import read_route
from errbot_sentry.config.settings import AlertSettings
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.errors import StoreAway, StoreError
from errbot_sentry.store.database import ANSWER_SECONDS, WORK_SECONDS
from tests.alerting import bodies
from tests.alerting.world import Chat, IssueServer, VirtualClock
from tests.servers.postgres import Postgres
from tests.stores import store_at
from tests.waiting import until

# How much longer than promised this machine may take; the limits themselves are far below what a hang would cost.
SLOW = 10.0


@pytest.fixture
def flow(postgres: Postgres) -> Iterator[AlertService]:
    """The flow with its own threads on a database of its own."""
    settings = AlertSettings(routes=(read_route({"rooms": ["#ops"]}),), webhook_secrets=(bodies.SECRET,))
    clock = VirtualClock()
    chat, server = Chat(clock), IssueServer(clock)
    made = AlertService(settings, Access(), store_at(postgres.url()), lambda: server, chat, Templates("text"))
    made.start()
    yield made
    made.close()


def hook(flow: AlertService, number: int) -> WebhookAnswer:
    raw = bodies.encode(bodies.sentry_issue(str(number)))
    return flow.receiver.take(bodies.signed(raw, "issue", f"r{number}"), raw, None)


def seconds(act: Callable[[], object]) -> float:
    begun = time.monotonic()
    act()
    return time.monotonic() - begun


def test_webhooks_are_refused_and_the_health_answers_while_it_hangs(postgres: Postgres, flow: AlertService) -> None:
    until(lambda: hook(flow, 1).status in (200, 202), 20, "the first webhook")
    with postgres.hanging():
        with ThreadPoolExecutor(12) as pool:
            begun = time.monotonic()
            answers = list(pool.map(lambda number: hook(flow, number), range(100, 160)))
            took = time.monotonic() - begun
        assert {answer.status for answer in answers} == {503}
        assert took < 2 * ANSWER_SECONDS + SLOW, "sixty at once, not one after the other"
        status = flow.status()
        assert not status.database_ok
        assert "does not answer" in status.database_error
        assert seconds(lambda: hook(flow, 200)) < ANSWER_SECONDS + SLOW
        assert seconds(flow.status) < ANSWER_SECONDS + SLOW
    until(lambda: hook(flow, 300).status in (200, 202), 20, "webhooks are stored again")
    until(lambda: flow.status().database_ok, 20, "the health is good again")


def test_it_ends_in_time_while_the_database_hangs(postgres: Postgres, flow: AlertService) -> None:
    until(lambda: hook(flow, 1).status in (200, 202), 20, "the first webhook")
    with postgres.hanging():
        ended: list[bool] = []
        closing = threading.Thread(target=lambda: ended.append(flow.close(5.0)))
        closing.start()
        closing.join(5.0 + SLOW)
        assert ended == [True]
        assert seconds(flow._store.close) < ANSWER_SECONDS + SLOW


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
        with store.read() as tx:  # type: ignore[attr-defined]
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
    with store.write() as tx:  # type: ignore[attr-defined]
        tx.alone(1)
