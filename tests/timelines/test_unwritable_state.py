"""The state can be read and not written: the health says so, and says when it works again."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import text

from tests.alerting import bodies
from tests.alerting.world import World
from tests.servers.postgres import Postgres

OPS = [{"rooms": ["#ops"]}]


def run(world: World, *statements: str) -> None:
    """Run each in a transaction of its own, and have the bot make new connections."""
    assert world.store._engine is not None
    with world.store._engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
            connection.commit()


def test_health_names_a_full_disk_until_there_is_space(tmp_path: Path) -> None:
    world = World(tmp_path, OPS, poll=0)
    assert world.hook(bodies.sentry_issue("1")).status == 202
    run(world, "PRAGMA max_page_count=1")
    answers = [world.hook(bodies.sentry_issue(str(number))).status for number in range(2, 100)]
    assert answers[-1] == 503
    for _ in range(2):
        status = world.flow.status()
        assert not status.database_ok
        assert "the disk is full" in status.database_error
    run(world, "PRAGMA max_page_count=1000000")
    assert world.flow.status().database_ok
    assert world.hook(bodies.sentry_issue("100")).status == 202


def test_health_names_a_read_only_server_until_it_takes_changes(postgres: Postgres, tmp_path: Path) -> None:
    """As after a failover to a replica."""
    world = World(tmp_path, OPS, poll=0, url=postgres.url())
    assert world.hook(bodies.sentry_issue("1")).status == 202
    database = world.url.rpartition("/")[2]
    run(world, f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    world.store._engine.dispose()
    assert world.hook(bodies.sentry_issue("2")).status == 503
    status = world.flow.status()
    assert not status.database_ok
    assert "it is read-only" in status.database_error
    run(
        world,
        "SET default_transaction_read_only = off",
        f"ALTER DATABASE {database} RESET default_transaction_read_only",
    )
    world.store._engine.dispose()
    assert world.flow.status().database_ok
    assert world.hook(bodies.sentry_issue("2")).status == 202
