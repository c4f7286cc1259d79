"""What people in one room ask for costs a bounded amount of work: digests, silences, subscriptions."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from errbot_sentry.alerting.decide.muting import SilenceIndex, SilenceIndexCache
from errbot_sentry.alerting.notify.digest_reports import FRESH, PAUSE, Digests
from errbot_sentry.commands.room_alerts.silences import MOST_SILENCES
from errbot_sentry.commands.room_alerts.subscriptions import MOST_SUBSCRIPTIONS
from errbot_sentry.config.matchers import all_match, read_matcher
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.alerts import Alert
from errbot_sentry.domain.conversation import Conversation, Invocation, Person
from errbot_sentry.domain.errors import UserError
from errbot_sentry.store import inbox_table
from errbot_sentry.store.records import KnownIssue, Silence
from errbot_sentry.store.schema import decisions
from tests.alerting.world import START, World
from tests.servers.postgres import Postgres

NOW = START.timestamp()
ANN = Person("@ann", "Ann")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, [{"rooms": ["#ops"]}], poll=0, access=Access(writers=("*",)))


@pytest.fixture
def run(world: World) -> Callable[..., list[Any]]:
    """Types a command in a room."""
    commands = world.commands()

    def typed(name: str, words: str, room: str = "#ops", who: Person = ANN) -> list[Any]:
        return list(commands.run(name, Invocation(who, Conversation(room), words)))

    return typed


def decided(world: World, rows: list[dict[str, Any]]) -> None:
    with world.store.write() as tx:
        tx._connection.execute(insert(decisions), rows)


def some(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Decisions of a day, made up."""
    chance = random.Random(seed)
    return [
        {
            "alert_id": number, "room": "#ops", "name": chance.choice(("first", "merged", "counted")), "detail": "",
            "reason": chance.choice(("new", "regressed", "rule")), "issue": str(chance.randrange(40)),
            "at": NOW - chance.uniform(1, 86_000),
        }
        for number in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_the_database_sums_what_a_digest_reports(request: pytest.FixtureRequest, tmp_path: Path, database: str) -> None:
    server: Postgres | None = request.getfixturevalue("postgres") if database == "postgresql" else None
    world = World(tmp_path, [{"rooms": ["#ops"]}], poll=0, url=server.url() if server else "")
    rows = some(3000)
    decided(world, rows)
    with world.store.read() as tx:
        sums = tx.inbox.sums("#ops", NOW - 86_400, NOW, "merged")
    assert (sums.alerts, sums.cut) == (3000, False)
    for reason in ("new", "regressed", "rule"):
        assert sums.problems[reason] == len({row["issue"] for row in rows if row["reason"] == reason})
    spoken = [row["at"] for row in rows if row["name"] != "merged"]
    assert sum(count for _, count in sums.slices) == len(spoken)
    for middle, count in sums.slices:
        assert count == sum(middle - 150 < at <= middle + 150 for at in spoken)

    with world.store.write() as tx:  # only what is about a visible project, which an unknown issue never is
        tx.issues.put(KnownIssue(str(key), "unresolved", project="shop" if key < 10 else "web") for key in range(30))
        some_sums = tx.inbox.sums("#ops", NOW - 86_400, NOW, "merged", lambda project: project == "shop")
    shop = [row for row in rows if int(row["issue"]) < 10]
    assert some_sums.alerts == len(shop)
    assert some_sums.problems["new"] == len({row["issue"] for row in shop if row["reason"] == "new"})
    assert sum(count for _, count in some_sums.slices) == sum(row["name"] != "merged" for row in shop)
    world.store.close()


def test_a_digest_reads_a_bounded_number_of_decisions(
    world: World, run: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_table, "MOST_SUMMED", 100)
    decided(world, some(300))
    (view,) = run("digest", "now")
    assert view.values["alerts"] == "the last 100 alerts of more"


def test_one_digest_is_made_for_all_who_ask_and_a_person_has_to_pause(
    world: World, run: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four at a time over 300,000 decisions took 22 seconds."""
    real = Digests.message
    made: list[str] = []
    at_once: list[int] = []
    running = threading.Semaphore(50)

    def message(self: Digests, tx: Any, plan: Any, now: float) -> Any:
        running.acquire()
        at_once.append(50 - running._value)
        made.append(plan.room)
        try:
            return real(self, tx, plan, now)
        finally:
            running.release()

    monkeypatch.setattr(Digests, "message", message)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: run("digest", "now", who=Person(f"@{number}", "x")), range(20)))
    assert (made, max(at_once)) == (["#ops"], 1)
    run("digest", "now", "#dev")
    with pytest.raises(UserError, match="Try again in 5 seconds"):
        run("digest", "now", "#more")
    world.clock.advance(PAUSE)
    run("digest", "now", "#more")
    world.clock.advance(FRESH)
    run("digest", "now")
    assert made == ["#ops", "#dev", "#more", "#ops"]


def test_the_silences_and_subscriptions_of_a_room_are_bounded(run: Callable[..., list[Any]]) -> None:
    for number in range(MOST_SILENCES):
        run("silence", f"title=t{number} -d 1h")
    with pytest.raises(UserError, match="There are 50 silences here"):
        run("silence", "title=more -d 1h")
    run("silence", "title=more -d 1h", "#other")
    run("unsilence", "1")
    run("silence", "title=more -d 1h")
    for number in range(MOST_SUBSCRIPTIONS):
        run("subscribe", f"title=t{number}")
    with pytest.raises(UserError, match="There are 50 subscriptions here"):
        run("subscribe", "title=more")


def test_the_index_finds_what_comparing_with_all_of_them_finds() -> None:
    chance = random.Random(7)
    forms = ("project=shop", "project=SHOP", "project=we*", "level>=error", "tag.customer=acme", 'title=~"T.*"',
             "title!=T1", "environment=", "issue=SHOP-1")  # fmt: skip
    silences = []
    for number in range(200):
        issue = "1" if number % 10 == 0 else ""
        matchers = () if issue else tuple(chance.sample(forms, chance.randrange(0, 4)))
        room, ends = chance.choice(("", "#ops", "#dev")), NOW + chance.uniform(-10, 100)
        silences.append(Silence(room, matchers, issue, "", "ann", "", NOW, ends, id=number))
    index = SilenceIndex(silences)
    for _ in range(300):
        alert = Alert(
            "d", "new", "webhook", START, issue_id=chance.choice(("1", "2")), short_id="SHOP-1",
            title=chance.choice(("T1", "x")), project=chance.choice(("shop", "web", "")),
            level=chance.choice(("error", None)),
            tags=chance.choice(((), (("customer", "acme"),))),
        )  # fmt: skip
        room = chance.choice(("#ops", "#dev", "#more"))
        fits = [
            each
            for each in silences
            if each.ends > NOW
            and each.room in ("", room)
            and (each.issue == alert.issue_id if each.issue else all_match(map(read_matcher, each.matchers), alert))
        ]
        assert index.of(alert, room, NOW) == max(fits, key=lambda each: each.ends, default=None)


def test_matchers_are_read_once_for_as_long_as_the_silences_are_the_same() -> None:
    book = SilenceIndexCache()
    silences = [Silence("", ("title=~a.*",), "", "", "ann", "", NOW, NOW + 9, id=1)]
    index = book.index(silences)
    assert book.index(list(silences)) is index
    assert book.index([]) is not index
