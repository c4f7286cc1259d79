"""A row that cannot be read back is skipped, logged once and counted; everything else goes on."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, text

from errbot_sentry.store.records import DigestPlan, Silence, Subscription
from tests.alerting import bodies
from tests.alerting.world import START, World

NOW = START.timestamp()
OPS = {"rooms": ["#ops"]}
WHOLE = {"delivery": "r", "reason": "new", "source": "webhook", "at": START.isoformat(), "issue_id": "1", "title": "x"}

BODIES = {
    "no JSON": '{"delivery": "r1", "rea',
    "empty": "",
    "a list": "[]",
    "null": "null",
    "without a time": json.dumps({**WHOLE, "at": None}),
    "a time out of range": json.dumps({**WHOLE, "at": "9999-99-99T00:00:00Z"}),
    "a list where a text belongs": json.dumps({**WHOLE, "issue_id": ["1"]}),
    "tags of another shape": json.dumps({**WHOLE, "tags": [["only a key"]]}),
    "nested without end": "[" * 100_000,
    "a text where a number belongs": json.dumps({**WHOLE, "events": "many"}),
}


@pytest.fixture(params=["sqlite", "postgresql"])
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Makes the world on one of the databases."""
    worlds: list[World] = []

    def make(**options: Any) -> World:
        options = {"poll": 0, **options}
        url = request.getfixturevalue("postgres").url() if request.param == "postgresql" else None
        worlds.append(World(tmp_path, [OPS], url=url, **options))
        return worlds[-1]

    yield make
    for world in worlds:
        world.store.close()


@pytest.fixture
def on_sqlite(tmp_path: Path) -> World:
    """PostgreSQL refuses a value of the wrong type; SQLite keeps whatever it is given."""
    return World(tmp_path, [OPS], poll=60)


def corrupt_rows(world: World, statement: str, **values: object) -> None:
    """Change rows as no program of ours would."""
    with create_engine(world.url, poolclass=NullPool).begin() as connection:
        assert connection.execute(text(statement), values).rowcount


def names(world: World) -> list[str]:
    """The rooms' messages, without their endings."""
    return [line.split(":")[0] for line in world.texts()]


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_an_alert(start: Callable[..., World], body: str, caplog: pytest.LogCaptureFixture) -> None:
    world = start()
    world.hook(bodies.sentry_issue("1"))
    corrupt_rows(world, "UPDATE alerts SET body = :body", body=body)
    world.hook(bodies.sentry_issue("2"))
    with caplog.at_level(logging.ERROR):
        assert names(world.at(5)) == ["New in shop"]
    assert [record.getMessage() for record in caplog.records] == [
        "row 1 of the table alerts in the alert state cannot be read and is skipped"
    ]
    status = world.flow.status()
    assert status.waiting == 0
    assert status.decided == {"failed": 1, "first": 1}
    assert status.damaged == {"alerts": 1}


def test_an_alert_that_was_decided_before(start: Callable[..., World]) -> None:
    world = start()
    world.hook(bodies.sentry_issue("1"))
    world.at(5)
    corrupt_rows(world, "UPDATE alerts SET body = 'x'")
    world.hook(bodies.sentry_issue("1", "resolved"))
    world.hook(bodies.sentry_issue("2"))
    assert len(world.at(100).texts()) == 3
    with world.store.read() as tx:
        assert len(tx.inbox.decided("#ops", 100)) == 2


def test_a_message(start: Callable[..., World]) -> None:
    world = start()
    world.chat.drop()
    world.hook(bodies.sentry_issue("1"))
    world.at(5)
    corrupt_rows(world, "UPDATE outbox SET body = '{'")
    world.hook(bodies.sentry_issue("2"))
    world.at(6)
    world.chat.up = True
    assert len(world.at(20).texts()) == 1
    assert world.flow.status().failed_lately == 1
    world.hook(bodies.sentry_issue("1", "resolved"))
    assert world.at(30).texts() == ["SHOP-1 resolved"]
    world.clock.advance(3700)
    assert world.flow.status().failed_lately == 0
    assert world.flow.status().failed == 1


@pytest.mark.parametrize("matchers", ["{", "[5]", '["nobody knows this"]', '["title=~("]', "{}"])
def test_a_silence(start: Callable[..., World], matchers: str) -> None:
    world = start()
    with world.store.write() as tx:
        tx.silences.add(Silence("", ("project=shop",), "", "all", "alice", "", NOW, NOW + 60))
    corrupt_rows(world, "UPDATE silences SET matchers = :matchers", matchers=matchers)
    world.hook(bodies.sentry_issue("1"))
    assert names(world.at(90)) == ["New in shop"]
    assert world.flow.status().damaged == {"silences": 1}


@pytest.mark.parametrize("matchers", ["{", "[5]", '["nobody knows this"]'])
def test_a_subscription(start: Callable[..., World], matchers: str) -> None:
    world = start()
    with world.store.write() as tx:
        tx.subscriptions.add(Subscription("#more", ("project=shop",), "alice", NOW))
        tx.subscriptions.add(Subscription("#dev", ("project=shop",), "alice", NOW))
    corrupt_rows(world, "UPDATE subscriptions SET matchers = :matchers WHERE room = '#more'", matchers=matchers)
    world.hook(bodies.sentry_issue("1"))
    world.at(5)
    assert sorted(each.room for each in world.chat.sent) == ["#dev", "#ops"]


def test_a_digest(start: Callable[..., World]) -> None:
    world = start()
    with world.store.write() as tx:
        tx.digests.put(DigestPlan("#more", "every full moon", NOW + 60, NOW))
        tx.digests.put(DigestPlan("#ops", "daily 12:02", NOW + 120, NOW))
    world.at(180)
    assert [each.room for each in world.chat.sent] == ["#ops"]
    assert world.flow.status().damaged == {"digests": 1}


def test_a_deferred_message_a_group_and_a_digest_of_the_wrong_type(on_sqlite: World) -> None:
    world = on_sqlite
    for number in range(30):
        world.hook(bodies.sentry_issue(str(number)))
    assert len(world.at(1).texts()) == 20
    corrupt_rows(world, "UPDATE deferred SET mention = x'00' WHERE id = 1")
    corrupt_rows(world, "UPDATE groups SET span = 'long', due = :due WHERE issue = '3'", due=NOW + 30)
    corrupt_rows(world, "UPDATE groups SET due = -1e300 WHERE issue = '4'")
    with world.store.write() as tx:
        tx.digests.put(DigestPlan("#ops", "daily 12:02", NOW + 10, NOW))
    corrupt_rows(world, "UPDATE digests SET since = 'noon'")
    world.hook(bodies.sentry_issue("3"))
    (storm,) = world.at(100).texts()
    assert storm.startswith("10 more problems"), storm
    assert world.flow.status().damaged == {"digests": 1, "deferred": 1, "groups": 2}


def test_a_known_issue_and_a_mark_of_the_wrong_type_do_not_stop_the_poller(on_sqlite: World) -> None:
    world = on_sqlite
    world.server.event("1")
    world.at(1)
    corrupt_rows(world, "UPDATE issues SET last_seen = 'today'")
    world.server.event("2")
    assert len(world.at(100).texts()) == 2  # nobody knows whether the first was sent: rather twice than never
    corrupt_rows(world, "UPDATE polls SET newest = 'today', answered_at = x'00'")
    world.at(200)
    world.server.event("3")
    assert len(world.at(300).texts()) == 1
    assert world.flow.status().damaged == {"issues": 1, "polls": 1}


def test_an_alert_with_a_time_that_is_none(on_sqlite: World) -> None:
    world = on_sqlite
    world.hook(bodies.sentry_issue("1"))
    corrupt_rows(world, "UPDATE alerts SET received = 'yesterday'")
    world.hook(bodies.sentry_issue("2"))
    assert len(world.at(5).texts()) == 1
    assert world.flow.status().decided == {"failed": 1, "first": 1}


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_an_alert_whose_time_cannot_be_stored_is_sent(tmp_path: Path, at: str) -> None:
    """The webhook was answered with "Stored.", and then the alert could not be read back: no room received it."""
    world = World(tmp_path, [{"rooms": ["#ops"]}], poll=0)
    assert world.hook(bodies.sentry_issue("1", firstSeen=at)).status == 202
    assert len(world.at(1).texts()) == 1
    assert world.flow.status().damaged == {}
