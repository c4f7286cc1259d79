"""Named migrations, applied in order. Each runs in one transaction, which also records that it ran.

Two bots may start together: the second one waits for the lock and then finds the record. A released migration is never
edited; a change is a new migration at the end. So each migration spells out its SQL and does not use `schema.py`, which
describes the present tables.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import Connection, Engine, inspect, select, text

from errbot_sentry.store import schema
from errbot_sentry.store.engine import for_reading, without_limits

# An arbitrary number that no other program on the same PostgreSQL database is likely to lock.
LOCK_MIGRATE = 73_011_901

_RECORD = "CREATE TABLE IF NOT EXISTS migrations (name TEXT NOT NULL, at FLOAT NOT NULL, PRIMARY KEY (name))"
# IF NOT EXISTS, because the tables may exist while the record of this migration is unreadable. SQLite numbers rows only
# in a column of exactly the type INTEGER.
_FIRST_TABLES = """
CREATE TABLE IF NOT EXISTS deliveries (
    "key" TEXT NOT NULL, at FLOAT NOT NULL, PRIMARY KEY ("key")
);
CREATE INDEX IF NOT EXISTS deliveries_at ON deliveries (at);
CREATE TABLE IF NOT EXISTS alerts (
    id {number} NOT NULL, state TEXT NOT NULL, next_try FLOAT NOT NULL, tries INTEGER NOT NULL,
    received FLOAT NOT NULL, body TEXT NOT NULL, issue TEXT NOT NULL, is_known INTEGER NOT NULL,
    lane INTEGER NOT NULL, PRIMARY KEY (id)
);
CREATE INDEX IF NOT EXISTS alerts_order ON alerts (issue, id) WHERE state = 'waiting';
CREATE INDEX IF NOT EXISTS alerts_received ON alerts (received);
CREATE INDEX IF NOT EXISTS alerts_due ON alerts (state, is_known, next_try, id, lane);
CREATE TABLE IF NOT EXISTS decisions (
    id {number} NOT NULL, alert_id BIGINT NOT NULL, room TEXT NOT NULL, name TEXT NOT NULL,
    detail TEXT NOT NULL, reason TEXT NOT NULL, issue TEXT NOT NULL, at FLOAT NOT NULL, PRIMARY KEY (id)
);
CREATE INDEX IF NOT EXISTS decisions_room_at ON decisions (room, at);
CREATE INDEX IF NOT EXISTS decisions_at ON decisions (at);
CREATE INDEX IF NOT EXISTS decisions_room ON decisions (room, id);
CREATE TABLE IF NOT EXISTS issues (
    "key" TEXT NOT NULL, status TEXT NOT NULL, substatus TEXT NOT NULL, short_id TEXT NOT NULL,
    title TEXT NOT NULL, project TEXT NOT NULL, events BIGINT, last_seen FLOAT NOT NULL, assignee TEXT NOT NULL,
    level TEXT NOT NULL, link TEXT NOT NULL, notified_at FLOAT, changed FLOAT NOT NULL, touched FLOAT NOT NULL,
    assignee_kind TEXT NOT NULL, assignee_mail TEXT NOT NULL, facts TEXT NOT NULL, lacking INTEGER NOT NULL,
    polled_events BIGINT, polled_users BIGINT, PRIMARY KEY ("key")
);
CREATE INDEX IF NOT EXISTS issues_touched ON issues (touched);
CREATE INDEX IF NOT EXISTS issues_short_id ON issues (short_id);
CREATE TABLE IF NOT EXISTS groups (
    room TEXT NOT NULL, issue TEXT NOT NULL, reason TEXT NOT NULL, source TEXT NOT NULL, at FLOAT NOT NULL,
    opened FLOAT NOT NULL, notified_at FLOAT NOT NULL, status TEXT NOT NULL, level TEXT NOT NULL,
    last_sent FLOAT NOT NULL, counted INTEGER NOT NULL, events BIGINT, due FLOAT, span FLOAT NOT NULL,
    "window" FLOAT NOT NULL, repeat FLOAT NOT NULL, threads TEXT NOT NULL, mention TEXT NOT NULL,
    thread_root BIGINT NOT NULL, alert_id BIGINT NOT NULL, mentioned TEXT NOT NULL, returns INTEGER NOT NULL,
    PRIMARY KEY (room, issue)
);
CREATE INDEX IF NOT EXISTS groups_issue ON groups (issue);
CREATE INDEX IF NOT EXISTS groups_due ON groups (due);
CREATE INDEX IF NOT EXISTS groups_at ON groups (at);
CREATE TABLE IF NOT EXISTS deferred (
    id {number} NOT NULL, room TEXT NOT NULL, reason TEXT NOT NULL, silence BIGINT NOT NULL,
    alert_id BIGINT NOT NULL, issue TEXT NOT NULL, mention TEXT NOT NULL, due FLOAT NOT NULL, at FLOAT NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX IF NOT EXISTS deferred_due ON deferred (due);
CREATE INDEX IF NOT EXISTS deferred_room ON deferred (room, reason);
CREATE INDEX IF NOT EXISTS deferred_silence ON deferred (silence);
CREATE TABLE IF NOT EXISTS silences (
    id {number} NOT NULL, room TEXT NOT NULL, matchers TEXT NOT NULL, issue TEXT NOT NULL, label TEXT NOT NULL,
    author TEXT NOT NULL, comment TEXT NOT NULL, made FLOAT NOT NULL, ends FLOAT NOT NULL,
    stage INTEGER NOT NULL, PRIMARY KEY (id)
);
CREATE INDEX IF NOT EXISTS silences_stage ON silences (stage, ends);
CREATE TABLE IF NOT EXISTS subscriptions (
    id {number} NOT NULL, room TEXT NOT NULL, matchers TEXT NOT NULL, author TEXT NOT NULL, made FLOAT NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE IF NOT EXISTS digests (
    room TEXT NOT NULL, schedule TEXT NOT NULL, next_at FLOAT NOT NULL, since FLOAT NOT NULL, PRIMARY KEY (room)
);
CREATE TABLE IF NOT EXISTS polls (
    scope TEXT NOT NULL, baseline FLOAT NOT NULL, complete INTEGER NOT NULL, newest FLOAT NOT NULL,
    next_at FLOAT NOT NULL, fails INTEGER NOT NULL, error TEXT NOT NULL, answered_at FLOAT NOT NULL,
    PRIMARY KEY (scope)
);
CREATE TABLE IF NOT EXISTS outbox (
    id {number} NOT NULL, state TEXT NOT NULL, room TEXT NOT NULL, issue TEXT NOT NULL,
    alert_id BIGINT NOT NULL, thread_root BIGINT NOT NULL, threads TEXT NOT NULL, mark TEXT NOT NULL,
    mention TEXT NOT NULL, kind TEXT NOT NULL, placement TEXT NOT NULL, projects TEXT NOT NULL,
    alert_count INTEGER NOT NULL, body TEXT NOT NULL, tries INTEGER NOT NULL, next_try FLOAT NOT NULL,
    made FLOAT NOT NULL, sent FLOAT, sent_id TEXT NOT NULL, owner TEXT NOT NULL, lease FLOAT NOT NULL,
    error TEXT NOT NULL, PRIMARY KEY (id)
);
CREATE INDEX IF NOT EXISTS outbox_made ON outbox (made);
CREATE INDEX IF NOT EXISTS outbox_recent ON outbox (room, placement, made);
CREATE INDEX IF NOT EXISTS outbox_queue ON outbox (state, room, id);
CREATE INDEX IF NOT EXISTS outbox_thread ON outbox (room, sent_id);
CREATE TABLE IF NOT EXISTS made_once (
    name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (name)
);
CREATE TABLE IF NOT EXISTS fallbacks (
    id BIGINT NOT NULL, state TEXT NOT NULL, taken TEXT NOT NULL, at FLOAT NOT NULL, since FLOAT NOT NULL,
    tries INTEGER NOT NULL, went FLOAT, PRIMARY KEY (id)
);
CREATE INDEX IF NOT EXISTS fallbacks_state ON fallbacks (state);
CREATE TABLE IF NOT EXISTS accounts (
    acl TEXT NOT NULL, mail TEXT NOT NULL, at FLOAT NOT NULL, mention TEXT NOT NULL, address TEXT NOT NULL,
    teams TEXT NOT NULL, PRIMARY KEY (acl)
);
"""


def _first_tables(connection: Connection) -> None:
    number = "BIGSERIAL" if connection.dialect.name == "postgresql" else "INTEGER"
    for statement in _FIRST_TABLES.replace("{number}", number).strip().removesuffix(";").split(";"):
        connection.exec_driver_sql(statement)


def _edits(connection: Connection) -> None:
    connection.exec_driver_sql(
        "CREATE TABLE IF NOT EXISTS edits (id BIGINT NOT NULL, mark TEXT NOT NULL, tries INTEGER NOT NULL, "
        "next_try FLOAT NOT NULL, made FLOAT NOT NULL, lease FLOAT NOT NULL, PRIMARY KEY (id))"
    )


def _groups_without_opened(connection: Connection) -> None:
    if "opened" in _columns(connection, "groups"):
        connection.exec_driver_sql("ALTER TABLE groups DROP COLUMN opened")


def _groups_way(connection: Connection) -> None:
    if "way" not in _columns(connection, "groups"):
        connection.exec_driver_sql("ALTER TABLE groups RENAME COLUMN source TO way")


def _subscriptions_numbered_once(connection: Connection) -> None:
    """SQLite gave the number of an ended subscription to the next one."""
    if connection.dialect.name != "sqlite":
        return
    described = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = 'subscriptions'").scalar()
    if "AUTOINCREMENT" in str(described):
        return
    connection.exec_driver_sql(
        "CREATE TABLE subscriptions_once (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, room TEXT NOT NULL, "
        "matchers TEXT NOT NULL, author TEXT NOT NULL, made FLOAT NOT NULL)"
    )
    connection.exec_driver_sql(
        "INSERT INTO subscriptions_once (id, room, matchers, author, made) "
        "SELECT id, room, matchers, author, made FROM subscriptions"
    )
    connection.exec_driver_sql("DROP TABLE subscriptions")
    connection.exec_driver_sql("ALTER TABLE subscriptions_once RENAME TO subscriptions")


def _columns(connection: Connection, table: str) -> set[str]:
    """The names of a table's columns. A change may be there already, if only its record cannot be read."""
    return {column["name"] for column in inspect(connection).get_columns(table)}


MIGRATIONS: tuple[tuple[str, Callable[[Connection], None]], ...] = (
    ("0001_first_tables", _first_tables),
    ("0002_edits", _edits),
    ("0003_groups_without_opened", _groups_without_opened),
    ("0004_groups_way", _groups_way),
    ("0005_subscriptions_numbered_once", _subscriptions_numbered_once),
)


def pending(engine: Engine) -> tuple[str, ...]:
    """The names of the migrations still to be applied. Only reads, and waits for no writer."""
    with engine.connect() as connected:
        connection = for_reading(connected)
        if not inspect(connection).has_table("migrations"):
            return tuple(name for name, _ in MIGRATIONS)
        done = set(connection.scalars(select(schema.migrations.c.name)))
        return tuple(name for name, _ in MIGRATIONS if name not in done)


def migrate(engine: Engine) -> None:
    """Apply the pending migrations, without the time limits of other transactions."""
    waiting = pending(engine)
    for name, change in MIGRATIONS:
        if name in waiting:
            _apply(engine, name, change)


def _apply(engine: Engine, name: str, change: Callable[[Connection], None]) -> None:
    # On SQLite the transaction itself is the lock, since each transaction that writes starts with BEGIN IMMEDIATE.
    with without_limits(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_MIGRATE})
        connection.exec_driver_sql(_RECORD)
        if connection.scalar(select(schema.migrations.c.name).where(schema.migrations.c.name == name)) is None:
            change(connection)
            connection.execute(schema.migrations.insert().values(name=name, at=time.time()))
