"""SQLite keeps whatever it is given: a row whose due time is no time is read, counted and set aside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from errbot_sentry.domain.alerts import Alert, MessageKind
from errbot_sentry.domain.clock import SystemClock
from errbot_sentry.store.records import (
    DeferReason,
    Deferred,
    Delivery,
    DigestPlan,
    Group,
    Message,
    PollMark,
    Silence,
)
from errbot_sentry.store.transaction import Transaction
from tests.stores import store_at

NOW = 1_000_000.0


def _add(tx: Transaction) -> None:
    """One row in each table from which something becomes due."""
    alert = Alert("d", "new", "webhook", SystemClock().now(), "1", "WEB-1")
    tx.inbox.take_in([Delivery((), (alert,), NOW)])
    tx.groups.put([Group("#ops", "1", "new", "webhook", NOW, NOW, "unresolved", due=NOW)])
    tx.deferred.add([Deferred("#ops", DeferReason.STORM, 1, "1", NOW, NOW)])
    tx.digests.put(DigestPlan("#ops", "daily 09:00", NOW, NOW))
    tx.silences.add(Silence("#ops", (), "1", "WEB-1", "Ann", "", NOW, NOW + 60))
    tx.polls.put(PollMark("web", NOW, True, NOW, NOW))
    tx.outbox.add(Message("#ops", MessageKind.NOTIFICATION, {}), NOW)
    tx.edits.want(1, "resolved", NOW)


def _nothing(_tx: Transaction) -> object:
    return None


# Column: what looks for due rows, and when the next is said to be due.
LOOKS: dict[str, tuple[Callable[[Transaction], object], Callable[[Transaction], object]]] = {
    "groups.due": (lambda tx: tx.groups.due(NOW, 10), lambda tx: tx.groups.next_due()),
    "deferred.due": (
        lambda tx: [row for each in tx.deferred.due(NOW) for row in tx.deferred.of_room(*each)],
        lambda tx: tx.deferred.next_due(NOW),
    ),
    "digests.next_at": (lambda tx: tx.digests.due(NOW), _nothing),
    "silences.stage": (lambda tx: tx.silences.present(), _nothing),
    "silences.ends": (lambda tx: tx.silences.present(), _nothing),
    "outbox.next_try": (lambda tx: tx.outbox.claim("me", NOW, NOW + 20), lambda tx: tx.outbox.next_due()),
    "edits.next_try": (lambda tx: tx.edits.claim(NOW, NOW + 60), lambda tx: tx.edits.next_due()),
}


@pytest.mark.parametrize("value", ["tomorrow", "", b"\x00", 1e300])
@pytest.mark.parametrize("column", sorted(LOOKS))
def test_what_is_no_time_is_due_counted_and_set_aside(tmp_path: Path, column: str, value: object) -> None:
    look, next_due = LOOKS[column]
    table, name = column.split(".")
    store = store_at(tmp_path / "state.sqlite3")
    with store.write() as tx:
        _add(tx)
        tx._connection.execute(text(f"UPDATE {table} SET {name} = :value"), {"value": value})
        if next_due is not _nothing:
            assert next_due(tx) is not None, "somebody looks"
        assert not look(tx)
    assert set(store.corrupt_rows.tables()) == {table}
    with store.write() as tx:
        assert not look(tx)
        assert next_due(tx) is None, "it is not looked at for ever"


@pytest.mark.parametrize("value", ["tomorrow", b"\x00", 1e300])
def test_a_message_whose_claim_has_no_end_is_free(tmp_path: Path, value: object) -> None:
    store = store_at(tmp_path / "state.sqlite3")
    with store.write() as tx:
        number = tx.outbox.add(Message("#ops", MessageKind.NOTIFICATION, {}), NOW)
        assert tx.outbox.claim("one", NOW, NOW + 20) is not None
        tx._connection.execute(text("UPDATE outbox SET lease = :value"), {"value": value})
        taken = tx.outbox.claim("two", NOW + 1, NOW + 21)
        assert taken is not None
        assert taken.id == number


@pytest.mark.parametrize("value", ["tomorrow", b"\x00", 1e300])
def test_a_scope_whose_time_is_none_is_read(tmp_path: Path, value: object) -> None:
    store = store_at(tmp_path / "state.sqlite3")
    with store.write() as tx:
        _add(tx)
        tx._connection.execute(text("UPDATE polls SET next_at = :value"), {"value": value})
        assert tx.polls.get("web") is None
        assert tx.polls.claim("web", NOW, NOW + 60)
    assert store.corrupt_rows.tables() == {"polls": 1}


@pytest.mark.parametrize("value", ["tomorrow", b"\x00", 1e300])
def test_an_alert_whose_time_is_none_is_decided(tmp_path: Path, value: object) -> None:
    store = store_at(tmp_path / "state.sqlite3")
    with store.write() as tx:
        _add(tx)
        tx._connection.execute(text("UPDATE alerts SET next_try = :value"), {"value": value})
        assert tx.inbox.next_due() is not None
        rows, _corrupt = tx.inbox.waiting(NOW, 10, is_known=False)
    assert len(rows) == 1
