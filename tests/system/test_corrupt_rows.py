"""Any column of any table may have any value: nothing stops, also not after a restart, and all else is sent.

The rows are made once for each database, and copied for each example.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, create_engine, text
from sqlalchemy.exc import DBAPIError

from errbot_sentry.config.fallback_entries import read_fallback_entry
from errbot_sentry.config.settings import read_settings
from errbot_sentry.domain.conversation import Conversation, Invocation, Person
from errbot_sentry.domain.issues import Project
from errbot_sentry.health import ApiTimes, FlowFacts, exposition, status_of
from errbot_sentry.reporting.report_status import ReportStatus
from errbot_sentry.store.records import DigestPlan, FallbackRow, Silence, Subscription
from errbot_sentry.store.schema import metadata
from tests.alerting import bodies
from tests.alerting.world import SHOP, START, VirtualClock, World
from tests.servers.postgres import Postgres

LIVE = Project("8", "live", "Live")
FEW = "title=~.* [0-3]"
RULE = {"assignee": True, "teams": {"backend": "@backend"}, "else": "@oncall"}
ROUTES: list[dict[str, Any]] = [
    {"rooms": ["#live"], "match": ["project=live"], "window": "1m"},
    {"rooms": ["#ops"], "mention": RULE, "window": "1m", "continue": True},
    {"rooms": ["#wait"], "match": [FEW], "wait": "5m", "mention": RULE, "continue": True},
    {"rooms": ["#quiet"], "match": [FEW], "quiet": "11:00-12:05 UTC"},
]
FALLBACK = (read_fallback_entry({"urls": ["json://127.0.0.1:9/closed"], "match": ["level>=error"], "after": "1s"}),)
BEGIN = 60.0  # seconds after the start at which the rows are corrupted
END = 600.0  # by then all windows, waits, quiet hours, silences and digests have been due

COLUMNS = [column for table in metadata.tables.values() for column in table.columns]
TEXTS = (
    "", "{bad", "{}", '{"else": 5}', "[]", "null", '["~("]', '["title=~("]', "[5]", "~(", "x" * 400, "a\x00b", "\ufffd",
    '{"about": 5}', '{"count": "many"}', "daily 25:61", "every full moon", "storm", "waiting", "#live", "[" * 20_000,
)  # fmt: skip
NUMBERS = (0, 1, -1, 2**31 - 1, 2**63 - 1, -(2**63), 0.5, -1e300, 1e300, math.inf, -math.inf, math.nan, 1e11, -6e10)
VALUES = st.one_of(st.sampled_from([*TEXTS, *NUMBERS, None, b"", b"\xff\x00"]), st.text(max_size=20), st.floats())


def fill(folder: Path, url: str = "") -> None:
    """A world with rows of every kind in every table."""
    world = World(folder, ROUTES, poll=60, url=url, projects=(SHOP, LIVE), fallback=FALLBACK)
    now = START.timestamp()
    with world.store.write() as tx:
        tx.silences.add(Silence("#ops", (), "7", "~(", "alice", "", now, now + 400))
        tx.silences.add(Silence("", ("title=~.*silent.*",), "", "l" * 500, "alice", "", now, now + 120))
        tx.subscriptions.add(Subscription("#more", ("project=shop",), "alice", now))
        tx.digests.put(DigestPlan("#ops", "daily 12:06", now + 360, now))
        tx.accounts.put("@ann", "ann@example.org", now, "@ann")
    world.server.event("1")
    world.at(1)
    for number in range(22):  # a storm
        world.hook(bodies.sentry_issue(str(number)))
    world.at(10)
    for action in ("assigned", "resolved"):
        for number in range(8):
            world.hook(bodies.sentry_issue(str(number), action))
    world.hook(bodies.sentry_issue("1", "unresolved"))
    world.at(BEGIN)
    world.chat.up = False
    world.hook(bodies.sentry_issue("40"))
    world.at(BEGIN + 0.5)
    world.chat.up = True
    with world.store.write() as tx:
        tx.made_once.get("clicks", lambda: "a secret")
        tx.edits.want(1, "resolved", now)
        states = ("again", "sent", "sending")
        tx.fallbacks.put(FallbackRow(number, state, now, now, 1, "x", now) for number, state in enumerate(states, 1))
    world.store.close()


def corrupt_rows(url: str, column: Column[Any], value: object, *, one: bool) -> bool:
    """Write this into a column of all rows (or of one, where it is a key); False where the database refuses."""
    engine = create_engine(url)
    name, table = column.name, column.table.name
    where = f" WHERE {name} = (SELECT min({name}) FROM {table})" if one else ""
    try:
        with engine.begin() as connection:
            if isinstance(value, bytes) and engine.dialect.name == "sqlite" and value:
                statement = f"UPDATE {table} SET {name} = CAST(:value AS TEXT){where}"
            else:
                statement = f"UPDATE {table} SET {name} = :value{where}"
            connection.execute(text(statement), {"value": value})
    except (DBAPIError, OverflowError, UnicodeEncodeError):
        return False
    finally:
        engine.dispose()
    return True


def goes_on(folder: Path, url: str) -> None:
    """Start on what is there: new problems, their windows and reports come to the rooms, and everybody is answered."""
    clock = VirtualClock(START + timedelta(seconds=BEGIN))
    world = World(folder, ROUTES, poll=120, url=url, clock=clock, projects=(SHOP, LIVE), fallback=FALLBACK)
    now = clock.now().timestamp()
    with world.store.write() as tx:
        tx.digests.put(DigestPlan("#live", "daily 12:08", now + 420, now))
    world.hook(bodies.sentry_issue("9001", project="live"), request_id="fresh 1")
    sleep_until(world, BEGIN + 10)
    world.hook(bodies.sentry_event_alert("9001", "live"), "event_alert", "fresh 2")
    sleep_until(world, BEGIN + 100)
    sleep_until(world, BEGIN + 300)
    world.store.close()
    world.boot()  # a restart meets the same rows
    sleep_until(world, END)
    sent = [each.text for each in world.chat.sent if each.room == "#live"]
    assert any("**New** in live" in each for each in sent), sent
    assert any("1 more" in each for each in sent), sent
    assert any("daily 12:08" in each for each in sent), sent
    answers(world)
    world.store.close()


def sleep_until(world: World, second: float) -> None:
    """The machine sleeps until then, and all that has been due meets the workers at once."""
    world.clock.at = START + timedelta(seconds=second)
    world.at(second + 3)


def answers(world: World) -> None:
    """What people and programs ask is answered."""
    status = world.flow.status()
    assert status.database_ok
    facts = FlowFacts(read_settings(SimpleNamespace(), {}), ReportStatus(), status, None, "", world.clock.now())
    assert status_of(facts)
    assert "sentry_reporter_decisions" in exposition(facts, ApiTimes())
    commands = world.commands()
    for room in ("#ops", "#live", ""):
        for name in ("alerts", "silences", "subscriptions", "digest now"):
            if room or name in ("silences", "subscriptions"):
                command, _, words = name.partition(" ")
                list(commands.run(command, Invocation(Person(f"@ann{room}", "Ann"), Conversation(room), words)))
    with world.store.read() as tx:
        tx.accounts.mail_of("@ann")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with rows of all kinds, to be copied."""
    folder = tmp_path_factory.mktemp("filled")
    fill(folder)
    return folder / "state.sqlite3"


@pytest.fixture(scope="module")
def template_url(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same on PostgreSQL."""
    url = postgres.url()
    fill(tmp_path_factory.mktemp("filled"), url)
    return url


def test_rows_of_every_table_are_there_to_be_corrupted(template: Path) -> None:
    engine = create_engine(f"sqlite:///{template}")
    with engine.connect() as connection:
        counts = {name: connection.scalar(text(f"SELECT count(*) FROM {name}")) for name in metadata.tables}
    engine.dispose()
    assert [name for name, count in counts.items() if not count] == []


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.sampled_from(COLUMNS), VALUES)
@example(metadata.tables["deferred"].c.mention, "{bad")
@example(metadata.tables["silences"].c.label, "~(")
@example(metadata.tables["silences"].c.label, "x" * 400)
@example(metadata.tables["outbox"].c.body, '{"about": 5}')
@example(metadata.tables["fallbacks"].c.went, "yesterday")
@example(metadata.tables["deliveries"].c.at, "yesterday")
@example(metadata.tables["migrations"].c.name, "?")
@example(metadata.tables["outbox"].c.made, "yesterday")
def test_on_sqlite_which_keeps_whatever_it_is_given(template: Path, column: Column[Any], value: Any) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(template, folder)
        url = f"sqlite:///{folder / template.name}"
        assume(corrupt_rows(url, column, value, one=column.primary_key))
        goes_on(folder, url)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.sampled_from(COLUMNS), VALUES)
@example(metadata.tables["deferred"].c.mention, "{bad")
@example(metadata.tables["groups"].c.due, math.nan)
@example(metadata.tables["deferred"].c.due, math.inf)
def test_on_postgresql(postgres: Postgres, template_url: str, tmp_path: Path, column: Column[Any], value: Any) -> None:
    url = postgres.url(template_url)
    assume(corrupt_rows(url, column, value, one=column.primary_key))
    goes_on(tmp_path, url)
