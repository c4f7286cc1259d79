"""Named migrations, applied in order, each in one transaction with the record that it ran.

Two bots that start together are safe: whoever comes second waits for the lock and finds the record. A migration that
was released is never edited; a change is a new one at the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import Connection, Engine, inspect, select, text

from errbot_sentry.store import schema
from errbot_sentry.store.engine import without_limits

# Any number that no other program on the same PostgreSQL database is likely to take.
LOCK_MIGRATE = 73_011_901


def _first_tables(connection: Connection) -> None:
    chosen = [table for name, table in schema.metadata.tables.items() if name != schema.migrations.name]
    # Also where they are there already: the record that this ran may be what cannot be read.
    schema.metadata.create_all(connection, tables=chosen, checkfirst=True)


def _people(connection: Connection) -> None:
    schema.accounts.create(connection, checkfirst=True)


def _callable_people(connection: Connection) -> None:
    """Whom to call: how a person is mentioned, who an issue belongs to, and who was called last in a room."""
    for table, name in (
        ("issues", "assignee_kind"),
        ("issues", "assignee_mail"),
        ("groups", "mentioned"),
        ("accounts", "mention"),
    ):
        _add_text(connection, table, name)


def _add_text(connection: Connection, table: str, name: str) -> None:
    """A column of text, empty in every row; not where the table was made with it. No row is rewritten."""
    if name not in {column["name"] for column in inspect(connection).get_columns(table)}:
        connection.execute(text(f"ALTER TABLE {table} ADD COLUMN {name} TEXT NOT NULL DEFAULT ''"))


def _ordered_alerts(connection: Connection) -> None:
    """Which problem an alert is about, so that none overtakes another about the same."""
    _add_text(connection, "alerts", "issue")
    schema.alerts_order.create(connection, checkfirst=True)


MIGRATIONS: tuple[tuple[str, Callable[[Connection], None]], ...] = (
    ("0001_first_tables", _first_tables),
    ("0002_people", _people),
    ("0003_callable_people", _callable_people),
    ("0004_ordered_alerts", _ordered_alerts),
)


def pending(engine: Engine) -> tuple[str, ...]:
    """The names of the migrations still to be applied; changes nothing."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("migrations"):
            return tuple(name for name, _ in MIGRATIONS)
        done = set(connection.scalars(select(schema.migrations.c.name)))
        return tuple(name for name, _ in MIGRATIONS if name not in done)


def migrate(engine: Engine) -> tuple[str, ...]:
    """Apply what is pending; the names of those that this call applied."""
    applied = []
    waiting = pending(engine)
    for name, change in MIGRATIONS:
        if name in waiting and _apply(engine, name, change):
            applied.append(name)
    return tuple(applied)


def _apply(engine: Engine, name: str, change: Callable[[Connection], None]) -> bool:
    # On SQLite the transaction itself is the lock: every one of ours begins by taking the right to write.
    with engine.begin() as connection:
        without_limits(connection)
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_MIGRATE})
        schema.migrations.create(connection, checkfirst=True)
        if connection.scalar(select(schema.migrations.c.name).where(schema.migrations.c.name == name)):
            return False
        change(connection)
        connection.execute(schema.migrations.insert().values(name=name, at=time.time()))
        return True
