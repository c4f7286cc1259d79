"""Alerts that are decided together come to what they come to one by one; unknown problems go first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from errbot_sentry.domain.errors import StoreAway
from errbot_sentry.store.schema import alerts, decisions, deferred, groups, issues, outbox
from tests.alerting import bodies
from tests.alerting.world import World
from tests.servers.postgres import Postgres

ROUTES = [
    {"rooms": ["#ops"], "match": ["project=shop"], "repeat": "1h", "continue": True},
    {"rooms": ["#dev"], "match": ["level>=warning"], "wait": "30s", "window": "1m"},
    {"rooms": ["#quiet"], "match": ["project=web"], "window": "0s"},
]
ISSUES = st.integers(1, 6)
# What a webhook says about an issue: its resource, and the body of its number.
KINDS: dict[str, tuple[str, Any]] = {
    "created": ("issue", lambda issue: bodies.sentry_issue(issue, project=_project(issue))),
    "resolved": ("issue", lambda issue: bodies.sentry_issue(issue, "resolved", _project(issue), status="resolved")),
    "unresolved": ("issue", lambda issue: bodies.sentry_issue(issue, "unresolved", _project(issue))),
    "regressed": (
        "issue",
        lambda issue: bodies.sentry_issue(issue, "unresolved", _project(issue), substatus="regressed"),
    ),
    "rule": ("event_alert", lambda issue: bodies.sentry_event_alert(issue, _project(issue))),
    "info": ("event_alert", lambda issue: bodies.sentry_event_alert(issue, _project(issue), level="info")),
    "metric": ("metric_alert", lambda _: bodies.metric_alert()),
}
HOOKS = st.tuples(st.sampled_from([*KINDS, "rule", "rule", "created"]), ISSUES)
# What somebody types before a burst; most of the time nothing.
TYPED = st.sampled_from(("", "", "silence SHOP-4 -d 5m", "silence SHOP-5 -d 1h", "silence level=info -d 10m"))
BURSTS = st.lists(
    st.tuples(TYPED, st.lists(HOOKS, max_size=12), st.sampled_from((1, 20, 70, 400, 4000))), min_size=1, max_size=3
)


def _project(issue: str) -> str:
    return "shop" if int(issue) % 3 else "web"


def a_world(folder: Path, url: str = "") -> World:
    world = World(folder, ROUTES, poll=0, url=url)
    for number in range(1, 7):
        world.server.event(str(number))
    world.type("silence SHOP-2 -d 10m")
    return world


def hook(world: World, kind: str, issue: int, number: int) -> None:
    resource, body = KINDS[kind]
    world.hook(body(str(issue)), resource, f"r{number}")


def rows_of(world: World, renumbered: dict[int, int]) -> dict[str, list[Any]]:
    """All books; alerts have the number that `renumbered` has for them."""
    for _ in range(20):  # on a machine that stands still for seconds, the store's own time limit may be over
        with suppress(StoreAway):
            return _rows_of(world, renumbered)
    return _rows_of(world, renumbered)


def _rows_of(world: World, renumbered: dict[int, int]) -> dict[str, list[Any]]:
    with world.store.read() as tx:
        books = {
            table.name: [dict(row._mapping) for row in tx._connection.execute(select(table))]
            for table in (decisions, groups, deferred, outbox, issues)
        }
        texts = tx._connection.execute(select(alerts.c.id, alerts.c.state, alerts.c.body, alerts.c.issue))
        books["alerts"] = [{**row._mapping, "id": renumbered[row.id]} for row in texts]
    for rows in books.values():
        for row in rows:
            row.pop("owner", None)  # each bot's own name
            if "alert_id" in row:
                row["alert_id"] = renumbered.get(row["alert_id"], row["alert_id"])
    return {name: sorted(rows, key=str) for name, rows in books.items()}


@settings(max_examples=30)
@given(BURSTS)
def test_together_and_one_by_one(bursts: list[tuple[str, list[tuple[str, int]], int]]) -> None:
    with TemporaryDirectory() as many, TemporaryDirectory() as one:
        together, alone = a_world(Path(many)), a_world(Path(one))
        seconds, number = 0, 0
        renumbered: dict[int, int] = {}
        for typed, burst, pause in bursts:
            first = number + 1
            if typed:
                assert together.type(typed) == alone.type(typed)
            for kind, issue in burst:
                number += 1
                hook(together, kind, issue, number)
            together.at(seconds)
            order = decided_order(together)[len(renumbered) :]
            for alert in order:
                hook(alone, *burst[alert - first], alert)
                alone.at(seconds)
                renumbered[alert] = len(renumbered) + 1
            seconds += pause
            together.at(seconds)
            alone.at(seconds)
        own = {each: each for each in renumbered.values()}
        both = rows_of(together, renumbered), rows_of(alone, own)
        for name, rows in both[0].items():
            assert rows == both[1][name], name
        assert together.texts() == alone.texts()
        together.store.close()
        alone.store.close()


@settings(max_examples=3, deadline=None)
@given(st.lists(st.tuples(st.lists(HOOKS, max_size=12), st.sampled_from((1, 20, 70))), max_size=3))
def test_two_bots_and_one_by_one(postgres: Postgres, bursts: list[tuple[list[tuple[str, int]], int]]) -> None:
    """Two threads decide as two bots on one PostgreSQL do; who was first is known afterwards."""
    with TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        one = a_world(Path(folder), url=postgres.url())
        other = World(Path(folder), ROUTES, poll=0, url=one.url, clock=one.clock, server=one.server)
        alone = a_world(Path(folder))
        seconds, number = 0, 0
        renumbered: dict[int, int] = {}
        for burst, pause in bursts:
            first = number + 1
            for kind, issue in burst:
                number += 1
                hook((one, other)[number % 2], kind, issue, number)
            while waiting(one):
                list(pool.map(lambda world, at=seconds: world.at(at), (one, other)))
                for world in (one, other):  # what had to wait for the other
                    world.step("alert pipeline")
            order = decided_order(one)[len(renumbered) :]
            assert len(order) == len(burst)
            for alert in order:
                hook(alone, *burst[alert - first], alert)
                alone.at(seconds)
                renumbered[alert] = len(renumbered) + 1
            seconds += pause
            for world in (one, other, alone):
                world.at(seconds)
        both = rows_of(one, renumbered), rows_of(alone, {each: each for each in renumbered.values()})
        for name, rows in both[0].items():
            assert unnumbered(name, rows) == unnumbered(name, both[1][name]), name
        assert sorted(one.texts() + other.texts()) == sorted(alone.texts())
        for world in (one, other, alone):
            world.store.close()


def waiting(world: World) -> int:
    with world.store.read() as tx:
        return tx.inbox.waiting_count()[0]


def unnumbered(name: str, rows: list[Any]) -> list[Any]:
    """The rows in an order that does not depend on whose decision was written first."""
    if name in ("decisions", "deferred"):
        rows = [{**row, "id": 0} for row in rows]
    return sorted(rows, key=str)


def decided_order(world: World) -> list[int]:
    """The numbers of the alerts in the order of their decisions."""
    with world.store.read() as tx:
        found = tx._connection.scalars(select(decisions.c.alert_id).order_by(decisions.c.id))
        return list(dict.fromkeys(found))


def test_a_new_problem_overtakes_what_is_only_counted(tmp_path: Path) -> None:
    world = a_world(tmp_path)
    hook(world, "created", 1, 1)
    world.at(0)
    for number in range(2, 302):
        hook(world, "rule", 1, number)
    hook(world, "created", 4, 302)
    for _ in range(2):
        world.step("alert pipeline")
    decided = decided_order(world)
    assert 302 in decided
    assert 0 < len({*decided} - {1, 302}) < 300, "both have their turn"
    world.at(0)
    assert sorted(decided_order(world)) == list(range(1, 303))


def test_nothing_overtakes_what_came_first_about_the_same_problem(tmp_path: Path) -> None:
    world = a_world(tmp_path)
    hook(world, "created", 1, 1)
    world.at(0)
    kinds = ("rule", "rule", "unresolved", "rule", "resolved", "rule", "created", "unresolved")
    for number, kind in enumerate(kinds * 10, start=2):
        hook(world, kind, 1, number)
    world.at(0)
    assert decided_order(world) == list(range(1, 82))
