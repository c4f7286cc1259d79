"""Opening a state: its tables are those of today, and are made once, also by many at once and beside other writers."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, inspect

from errbot_sentry.store.migrations import MIGRATIONS
from errbot_sentry.store.records import Group
from errbot_sentry.store.schema import metadata
from tests.stores import store_at

# Longer than a webhook waits for a lock on the file (0.8 s).
LONGER = 1.5


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite3"


def tables_of(engine: Engine) -> dict[str, Any]:
    """What a database says of its tables."""
    found = inspect(engine)
    described = {
        name: (
            {
                column["name"]: (str(column["type"]), column["nullable"], column["default"])
                for column in found.get_columns(name)
            },
            found.get_pk_constraint(name)["constrained_columns"],
            sorted(
                (index["name"], index["column_names"], index["unique"], str(_where(index)))
                for index in found.get_indexes(name)
            ),
        )
        for name in found.get_table_names()
    }
    engine.dispose()
    return described


def _where(index: Any) -> object:
    options = index.get("dialect_options", {})
    return options.get("sqlite_where", options.get("postgresql_where"))


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_the_migrations_make_the_tables_that_the_queries_are_written_for(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    urls = [f"sqlite:///{tmp_path / name}" for name in ("migrated", "described")]
    if database == "postgresql":
        server = request.getfixturevalue("postgres")
        urls = [server.url() for _ in urls]
    migrated, described = urls
    store_at(migrated).open()
    engine = create_engine(described)
    metadata.create_all(engine)
    other = create_engine(migrated)
    assert tables_of(other) == tables_of(engine)
    engine.dispose()
    other.dispose()


_GROUP_OF_BEFORE = """
INSERT INTO groups (
    room, issue, reason, source, at, opened, notified_at, status, level, last_sent, counted, due, span, "window",
    repeat, threads, mention, thread_root, alert_id, mentioned, returns
) VALUES (
    '#ops', '1', 'new', 'webhook', 20, 10, 20, 'unresolved', 'error', 20, 3, 320, 300, 300, 600,
    'thread', '', 7, 9, '', 1
)
"""


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
@pytest.mark.parametrize("lost", [0, 2], ids=["", "the records of the last migrations are lost"])
def test_a_state_of_before_is_brought_up_to_date_with_what_is_in_it(
    database: str, lost: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The columns of `groups` have changed since: a problem goes on in its thread."""
    url = request.getfixturevalue("postgres").url() if database == "postgresql" else f"sqlite:///{tmp_path / 'state'}"
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE migrations (name TEXT NOT NULL, at FLOAT NOT NULL, PRIMARY KEY (name))"
        )
        for name, change in MIGRATIONS[:2]:
            change(connection)
            connection.exec_driver_sql(f"INSERT INTO migrations VALUES ('{name}', 1)")
        connection.exec_driver_sql(_GROUP_OF_BEFORE)
    store_at(url).open()
    with engine.begin() as connection:
        for name, _ in MIGRATIONS[len(MIGRATIONS) - lost :]:
            connection.exec_driver_sql(f"DELETE FROM migrations WHERE name = '{name}'")
    store = store_at(url)
    store.open()
    found = Group(
        "#ops", "1", "new", "webhook", 20.0, 20.0, "unresolved", "error", last_sent=20.0, counted=3, due=320.0,
        span=300.0, window=300.0, repeat=600.0, thread_root=7, alert_id=9, returns=1,
    )  # fmt: skip
    with store.write() as tx:
        assert tx.groups.of_issue("1") == {"#ops": found}
        tx.groups.put([replace(found, issue="2")])
        assert set(tx.groups.of_issue("2")) == {"#ops"}
    described = create_engine(f"sqlite:///{tmp_path / 'described'}")
    metadata.create_all(described)
    columns = [[column["name"] for column in inspect(each).get_columns("groups")] for each in (engine, described)]
    assert sorted(columns[0]) == sorted(columns[1])
    engine.dispose()
    described.dispose()


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
@pytest.mark.parametrize("before", [4, 5], ids=["a state of before", "a new state"])
def test_the_number_of_an_ended_subscription_is_not_given_again(
    database: str, before: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Whoever reads an older list ends what they mean, or nothing."""
    url = request.getfixturevalue("postgres").url() if database == "postgresql" else f"sqlite:///{tmp_path / 'state'}"
    engine = create_engine(url)
    made = "INSERT INTO subscriptions (room, matchers, author, made) VALUES ('#ops', '[\"level=error\"]', 'Ann', 1)"
    with engine.begin() as connection:
        for _, change in MIGRATIONS[:before]:
            change(connection)
        for _ in range(2):
            connection.exec_driver_sql(made)
    engine.dispose()
    store = store_at(url)
    store.open()
    with store.write() as tx:
        first, second = tx.subscriptions.all()
        assert (first.id, second.id, second.matchers) == (1, 2, ("level=error",))
        tx.subscriptions.remove(2)
    store.close()
    again = store_at(url)
    again.open()
    with again.write() as tx:
        assert tx.subscriptions.add(replace(second, id=0)) == 3
        assert [each.id for each in tx.subscriptions.all()] == [1, 3]


def test_it_can_be_opened_by_many_at_once_and_is_migrated_once(path: Path) -> None:
    stores = [store_at(path) for _ in range(8)]
    ready = threading.Barrier(len(stores))

    def open_it(number: int) -> None:
        ready.wait(30)
        stores[number].open()

    with ThreadPoolExecutor(len(stores)) as pool:
        list(pool.map(open_it, range(len(stores))))
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT name FROM migrations").fetchall() == [(name,) for name, _ in MIGRATIONS]


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_state_is_made_beside_another_program_that_writes_for_a_while(path: Path, journal: str) -> None:
    """Whoever makes the tables waits longer for the file than whoever answers a webhook."""
    store = store_at(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other, ThreadPoolExecutor(1) as pool:
        other.execute(f"PRAGMA journal_mode={journal}")
        other.execute("CREATE TABLE theirs (x)")
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO theirs VALUES (1)")
        opening = pool.submit(store.open)
        wait([opening], LONGER)
        other.execute("COMMIT")
        opening.result(60)
    with store.read() as tx:
        assert tx.inbox.waiting_count() == (0, None)


def test_a_state_that_has_its_tables_is_opened_beside_another_program_that_writes(path: Path) -> None:
    """Nothing is to be changed, so nothing is waited for."""
    first = store_at(path)
    first.open()
    first.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        second = store_at(path)
        second.open()
        with second.read() as tx:
            assert tx.inbox.waiting_count() == (0, None)


def test_a_state_that_was_closed_while_it_was_being_opened_stays_closed(path: Path) -> None:
    store = store_at(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other, ThreadPoolExecutor(2) as pool:
        other.execute("CREATE TABLE theirs (x)")
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO theirs VALUES (1)")
        opening = pool.submit(store.open)
        while not opening.running():
            pass
        store.close()
        other.execute("COMMIT")
        assert "closed" in str(opening.exception(60))
