"""Two bots, one PostgreSQL: each alert is posted once, by either; a killed bot's message is posted by the other."""

from __future__ import annotations

import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from errbot_sentry.domain.access import Access
from errbot_sentry.domain.alerts import MessageKind
from errbot_sentry.domain.conversation import Conversation
from errbot_sentry.domain.issues import RESOLVED, Issue
from errbot_sentry.domain.outgoing import Outgoing
from errbot_sentry.store.database import Store
from errbot_sentry.store.inbox_table import lane_of
from errbot_sentry.store.records import Delivery, DeliveryKey, Message
from tests.alerting import bodies
from tests.alerting.killable import Bot
from tests.alerting.world import Chat, IssueServer, VirtualClock, World
from tests.servers.postgres import Postgres
from tests.stores import store_at
from tests.waiting import until

Start = Callable[[], Bot]
OPS = {"rooms": ["#ops"]}


@pytest.fixture
def start(postgres: Postgres, tmp_path: Path) -> Iterator[Start]:
    """Starts bots on one database, with one room between them."""
    url = postgres.url()
    bots: list[Bot] = []

    def start_one() -> Bot:
        bots.append(Bot(url, tmp_path))
        return bots[-1]

    yield start_one
    for bot in bots:
        bot.kill()


def test_the_time_line_is_the_same_on_postgresql(postgres: Postgres, tmp_path: Path) -> None:
    world = World(tmp_path, [OPS], url=postgres.url())
    world.at(10)
    world.server.event("101")
    world.hook(bodies.sentry_issue("101"))
    assert len(world.at(11).texts()) == 1
    world.server.change("101", status=RESOLVED)
    world.hook(bodies.sentry_issue("101", "resolved"))
    assert world.at(150).texts() == ["SHOP-101 resolved"]
    world.store.close()


def test_a_poll_by_either_bot_is_no_delay_for_the_other(postgres: Postgres, tmp_path: Path) -> None:
    """They take turns by chance; the one that was not in luck three times answered 503 to whoever asked its health."""
    url = postgres.url()
    one = World(tmp_path, [OPS], url=url)
    other = World(tmp_path, [OPS], url=url, clock=one.clock, server=one.server)
    one.at(1)
    other.at(100)
    one.at(1000)
    lags = [world.flow.status().poll_lag for world in (one, other)]
    assert all(lag is not None and lag < 100 for lag in lags)
    one.store.close()
    other.store.close()


def test_migrations_run_once_with_many_starting_together(postgres: Postgres) -> None:
    url = postgres.url()
    stores = [store_at(url) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(Store.open, stores))
    with stores[0].read() as tx:
        assert tx.inbox.waiting_count() == (0, None)
    for store in stores:
        store.close()


def test_one_webhook_load_balanced_over_two_bots_is_sent_once(start: Start) -> None:
    one, two = start(), start()
    one.up.touch()
    for number in range(10):
        answers = {bot.hook(bodies.sentry_issue(str(number)), f"r{number}") for bot in (one, two)}
        assert answers == {202, 200}
    until(lambda: len(one.said()) >= 10 and one.status()["queue"] == 0 and one.status()["waiting"] == 0, 30, "all ten")
    assert sorted(one.said()) == sorted(f"#ops sentry_notification SHOP-{number}" for number in range(10))


def test_what_both_take_in_at_once_is_decided_once(start: Start) -> None:
    """The same issue by different deliveries: whoever decides first sends it, the other sees that it was sent."""
    one, two = start(), start()
    one.up.touch()
    with ThreadPoolExecutor(2) as pool:
        for number in range(8):
            hooks = [(one, bodies.sentry_issue(str(number))), (two, bodies.sentry_issue(str(number), count="2"))]
            assert list(pool.map(lambda hook: hook[0].hook(hook[1]), hooks)) == [202, 202]
    until(lambda: one.status()["waiting"] == 0 and one.status()["queue"] == 0 and len(one.said()) >= 8, 30, "all")
    assert len(one.said()) == 8


def test_a_killed_bots_messages_are_posted_by_the_other(start: Start) -> None:
    one = start()
    assert one.hook(bodies.sentry_issue("1")) == 202
    until(lambda: one.status()["queue"] == 1, 20, "the decision")
    one.kill()
    two = start()
    two.up.touch()
    until(lambda: two.said() == ["#ops sentry_notification SHOP-1"], 30, "the other bot")


def test_a_message_that_was_being_sent_is_taken_over_within_thirty_seconds(postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.url()
    store = store_at(url)
    with store.write() as tx:
        tx.outbox.add(Message("#ops", MessageKind.NOTIFICATION, {"short_id": "SHOP-9"}), time.time())
        assert tx.outbox.claim("a bot that is dead now", time.time(), time.time() + 20.0) is not None
    begun = time.monotonic()
    bot = Bot(url, tmp_path)
    bot.up.touch()
    until(bot.said, 40, "the message")
    bot.kill()
    store.close()
    assert bot.said() == ["#ops sentry_notification SHOP-9"]
    assert time.monotonic() - begun < 60


def test_two_that_look_at_the_same_moment_do_not_take_the_same_message(postgres: Postgres) -> None:
    store = store_at(postgres.url())
    with store.write() as tx:
        for room in range(40):
            tx.outbox.add(Message(f"#room{room}", MessageKind.NOTIFICATION, {}), 1.0)
    release = threading.Barrier(4)

    def take(owner: int) -> list[int]:
        taken = []
        for _ in range(40):
            release.wait(20)
            with store.write() as tx:
                row = tx.outbox.claim(str(owner), 2.0, 100.0)
            taken += [row.id] if row is not None else []
        return taken

    with ThreadPoolExecutor(4) as pool:
        taken = [number for each in pool.map(take, range(4)) for number in each]
    store.close()
    assert sorted(taken) == sorted(set(taken))
    assert len(taken) == 40


class _SlowAccess(Access):
    """Rights that take their time over one project: a decision stands still in the middle."""

    entered, release = threading.Event(), threading.Event()

    def may_see(self, project: str, conversation: Conversation) -> bool:
        if project == "slow":
            self.entered.set()
            assert self.release.wait(120)
        return super().may_see(project, conversation)


def test_two_bots_decide_about_different_problems_at_once_and_about_one_in_turn(
    postgres: Postgres, tmp_path: Path
) -> None:
    access = _SlowAccess(writers=("*",))
    one = World(tmp_path, [OPS], poll=0, url=postgres.url(), access=access)
    other = World(tmp_path, [OPS], poll=0, url=one.url, clock=one.clock)
    assert lane_of("1") != lane_of("2")
    one.hook(bodies.sentry_issue("1", project="slow"))
    with ThreadPoolExecutor(1) as pool:
        step = pool.submit(one.step, "alert pipeline")
        try:
            assert access.entered.wait(60)
            other.hook(bodies.sentry_issue("2"), request_id="other")
            other.hook(bodies.sentry_event_alert("1", "slow"), "event_alert", "third")
            assert other.step("alert pipeline") == 0.0
            assert other.reasons("#ops") == ["first"], "the other problem is decided"
            assert other.step("alert pipeline") != 0.0
            assert waiting_count(other) == 2, "what is about the first problem waits"
        finally:
            access.release.set()
        step.result(60)
    other.at(1)
    assert sorted(other.reasons("#ops")) == ["first", "first", "merged"]
    for world in (one, other):
        world.store.close()


def waiting_count(world: World) -> int:
    with world.store.read() as tx:
        return tx.inbox.waiting_count()[0]


def test_deliveries_with_the_same_keys_are_taken_in_once_in_whatever_order_they_come(postgres: Postgres) -> None:
    store = store_at(postgres.url())
    store.open()
    keys = [f"request:{number}" for number in range(30)]
    release = threading.Barrier(4)

    def take(bot: int) -> int:
        found = random.Random(bot)
        firsts = 0
        for part in range(6):
            some = keys[part * 5 : part * 5 + 5]
            found.shuffle(some)
            deliveries = [Delivery((DeliveryKey(key),), (), 1.0) for key in some]
            release.wait(60)
            with store.write() as tx:
                tx.alone_with(deliveries)
                firsts += sum(tx.inbox.take_in(deliveries))
        return firsts

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(take, range(4))) == len(keys)
    store.close()


class _Slow(Chat):
    """A network that takes its time over one message and confirms none."""

    def __init__(self, clock: VirtualClock, release: threading.Event) -> None:
        super().__init__(clock, settle=5.0)
        self.release, self.entered = release, threading.Event()

    def post(self, room: str, message: Outgoing, thread: str = "") -> str:
        if "long" in message.text:
            self.entered.set()
            self.release.wait(120)
        return super().post(room, message, thread)


class _Hanging(IssueServer):
    """A server that does not answer."""

    def __init__(self, clock: VirtualClock, release: threading.Event) -> None:
        super().__init__(clock)
        self.release, self.entered = release, threading.Event()

    def issue(self, issue_id: str) -> Issue:
        self.entered.set()
        self.release.wait(120)
        return super().issue(issue_id)


def test_a_long_message_is_not_taken_over_while_it_is_sent_and_a_look_up_hangs(
    postgres: Postgres, tmp_path: Path
) -> None:
    """Nor is the one before it, which was sent and is not yet known to have arrived."""
    url, clock, release = postgres.url(), VirtualClock(), threading.Event()
    server, chat = _Hanging(clock, release), _Slow(clock, release)
    one = World(tmp_path, [OPS], poll=0, url=url, clock=clock, server=server, chat=chat, threads=True)
    other = World(tmp_path, [OPS], poll=0, url=url, clock=clock)
    one.flow.start()
    try:
        assert one.hook(bodies.sentry_event_alert("1"), "event_alert").status == 202
        assert server.entered.wait(60)
        with one.store.write() as tx:
            for title in ("short", "long"):
                values = dict.fromkeys(("project", "short_id", "culprit", "facts", "rule", "text", "link", "mark"), "")
                message = Message("#ops", MessageKind.NOTIFICATION, {**values, "word": "New", "title": title})
                tx.outbox.add(message, clock.now().timestamp())
        one.flow.wake()
        assert chat.entered.wait(60)
        for _ in range(4):
            clock.advance(15)
            one.flow.wake()
            until(lambda: _lease(other) >= clock.now().timestamp() + 15, 30, "a sign of life")
            other.step("alert delivery")
            other.step("alert delivery")
            assert other.texts() == []
    finally:
        release.set()
    until(lambda: one.flow.status().queue == 0, 30, "the end of sending")
    assert one.flow.close()
    other.step("alert delivery")
    texts = [[text for text in world.texts() if text.startswith("New: ")] for world in (one, other)]
    assert texts == [["New: short", "New: long"], []]
    one.store.close()
    other.store.close()


def _lease(world: World) -> float:
    """Until when the message that is being sent belongs to who sends it."""
    with world.store.read() as tx:
        return tx.outbox.next_due() or 0.0


def test_a_restart_of_the_database_loses_nothing_and_sends_nothing_twice(postgres: Postgres, tmp_path: Path) -> None:
    """A server of its own, ended at once while two bots run on it: both take webhooks again, and threads go on."""
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        server = Postgres(Path(folder))
        server.start()
        url = server.url()
        bots = [Bot(url, tmp_path) for _ in range(2)]
        try:
            answers = [
                bot.hook(bodies.sentry_issue(str(number))) for number, bot in enumerate(bots)
            ]  # nobody sends yet
            assert answers == [202, 202]
            server.stop()
            assert bots[0].hook(bodies.sentry_issue("9")) == 503
            for bot in bots:
                until(lambda b=bot: "will try again" in b.warned(), 60, "a thread that met the outage")
            server.start_again()
            for number, bot in enumerate(bots, 2):
                until(lambda b=bot, n=number: b.hook(bodies.sentry_issue(str(n))) == 202, 60, "a webhook taken")
            bots[0].up.touch()
            until(lambda: len(bots[0].said()) >= 4 and bots[0].status()["queue"] == 0, 90, "all four")
            bots[1].kill()  # what follows is the work of the first one's threads alone
            assert bots[0].hook(bodies.sentry_issue("4")) == 202
            until(lambda: len(bots[0].said()) >= 5, 60, "one more")
            assert sorted(bots[0].said()) == [f"#ops sentry_notification SHOP-{number}" for number in range(5)]
        finally:
            for bot in bots:
                bot.kill()
            server.stop()
