"""States that tests open: each is closed when its test ends, so that none is left to the garbage collector."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import bindparam, text

from errbot_sentry.domain.errors import StoreError
from errbot_sentry.store.database import Store
from errbot_sentry.store.records import SENDING, SENT, UNSURE, WAITING, OutboxRow

_opened: list[Store] = []


def store_at(url: str | Path) -> Store:
    """A store that `close_stores` closes."""
    store = Store(url)
    _opened.append(store)
    return store


def close_stores() -> None:
    """Close what `store_at` has made so far."""
    while _opened:
        _opened.pop().close()


def is_open(store: Store) -> bool:
    """Whether the database answers, tried once."""
    try:
        store.open()
    except StoreError:
        return False
    return True


def outbox_of(store: Store, room: str, *states: str) -> list[OutboxRow]:
    """The messages of one room in these states (none: all but those set aside), oldest first."""
    wanted = text("SELECT id FROM outbox WHERE room = :room AND state IN :states ORDER BY id")
    with store.read() as tx:
        ids = tx._connection.scalars(
            wanted.bindparams(bindparam("states", expanding=True)),
            {"room": room, "states": states or (WAITING, SENDING, UNSURE, SENT)},
        )
        return [row for row in map(tx.outbox.get, list(ids)) if row is not None]


def fallbacks_of(store: Store) -> dict[int, tuple[str, bool]]:
    """What became of messages at the fallback, by their numbers: the state, and whether an address took it."""
    with store.read() as tx:
        rows = tx._connection.execute(text("SELECT id, state, went IS NOT NULL FROM fallbacks"))
        return {number: (state, bool(went)) for number, state, went in rows}


def row_count(store: Store, table: str) -> int:
    """How many rows a table has."""
    with store.read() as tx:
        return int(tx._connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0)
