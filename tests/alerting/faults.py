"""Everything that can die, dying under load: a real Errbot, chat server and Bugsink, and the report afterwards.

The load: Bugsink gets events, a part of them new problems, and posts its alerts to the bot; besides, alerts about
known problems reach the bot all the time.
"""

from __future__ import annotations

import hashlib
import random
import secrets
import signal
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

from errbot import rendering

from demo.bugsink import Bugsink, Refused
from demo.processes import open_url
from errbot_sentry.alerting.decide.messages import TEMPLATES
from errbot_sentry.chat.render.templates import Templates
from errbot_sentry.domain.alerts import NOTIFICATION_KINDS, MessageKind
from errbot_sentry.store.database import Store
from errbot_sentry.store.records import SENT, UNSURE, FallbackState, OutboxRow
from tests.alerting import bodies
from tests.alerting.fault_chat import FaultChat, tidy
from tests.alerting.fault_fallback import FallbackBooks, FallbackReceiver, StuckRow, fallback_text
from tests.alerting.fault_report import PROBLEM, FaultReport
from tests.fakes.http_server import HttpServer, Reply, Request
from tests.servers.bugsink import BugsinkProject
from tests.servers.small_disk import SmallDisk
from tests.stores import fallbacks_of, outbox_of
from tests.waiting import until

# A server may die before, while and after it answers.
_NO_ANSWER = (OSError, HTTPException)
_UNTOLD = {FallbackState.SENDING.value, FallbackState.SENT.value}
_CUT_LISTS = (MessageKind.STORM_LIST, MessageKind.AWAY_LIST)

_TEXT = rendering.text()


class FaultRun:
    """One run: `running`, `load` with somebody who kills, everything started again, `come_to_rest`, `report`."""

    def __init__(
        self,
        folder: Path,
        server: Bugsink,
        chat: FaultChat,
        chance: random.Random,
        state_url: str = "",
        after: float = 10.0,
    ) -> None:
        """The state is SQLite in the bot's folder, where no `state_url` is given; `after` is the fallback's."""
        self.server, self.chat = server, chat
        self.fallback = FallbackReceiver()
        self._after = after
        self.project = BugsinkProject(server, server.make_project(f"shop-{secrets.token_hex(3)}"))
        self.world = chat.world(
            folder,
            self.project,
            SENTRY_FALLBACK=[{"urls": [self.fallback.url], "after": f"{after:g}s"}],
            STORAGE="Memory",  # Errbot's own storage does not survive kill -9, with or without us
            SENTRY_ALERTS=[{"rooms": [chat.room], "window": "20s"}],
            SENTRY_POLL_SECONDS=3,
            **({"SENTRY_STATE_URL": state_url} if state_url else {}),
        )
        self.state = state_url or f"sqlite:///{self.world.bot.data / 'sentry_reporter.sqlite3'}"
        self._is_shared = bool(state_url)
        self._chance = chance
        self._answers: Counter[str] = Counter()
        self._kills: Counter[str] = Counter()
        self._faults: list[float] = []
        self._deaths: list[float] = []
        self._answered: list[float] = []
        self._slowest_end = 0.0
        self._full_since = 0.0
        self._full: list[tuple[float, float]] = []
        self._promised: set[str] = set()
        self._problems = 0
        self._rule_number = 0
        self._known: list[dict[str, Any]] = []
        self._counting = threading.Lock()
        self._end = threading.Event()
        self._relay = HttpServer(self._pass_on)

    @contextmanager
    def running(self) -> Iterator[FaultRun]:
        """Everything up and connected, the poller's first look done; everything down afterwards."""
        with self._relay, self.fallback.server, self.chat.proxy:
            self.project.add_alert(f"{self._relay.url}/bugsink")
            self.chat.watch()
            try:
                self.world.bot.start()
                self.chat.wait_for_bot()
                until(self._polled, 60, "the first poll")
                yield self
            finally:
                self._end.set()
                self.world.bot.kill9()
                self.chat.unwatch()

    def load(self, seconds: float, faults: Callable[[float], None], burst: int = 25) -> None:
        """Load for so long; `faults` is called with the seconds that have passed, again and again.

        `burst` is the number of problems that come at once, somewhere in the second half.
        """
        with ThreadPoolExecutor(2) as pool:
            parts = [pool.submit(self._events, seconds, burst), pool.submit(self._rules)]
            start = time.monotonic()
            try:
                while (passed := time.monotonic() - start) < seconds and not wait(parts, 0.05, FIRST_COMPLETED).done:
                    self.chat.listen()
                    faults(passed)
                    if not self._bot_is_down:
                        self._revive_bot()
            finally:
                self._end.set()
            for part in parts:
                part.result()

    # What can die.

    _bot_is_down = False

    def kill_bot(self) -> None:
        """`kill -9` for the bot."""
        self._fault("the bot")
        self._deaths.append(time.monotonic())
        self.world.bot.kill9()
        self._bot_is_down = True

    def start_bot(self) -> None:
        """Start the bot again, whatever else is away."""
        self.world.bot.start(wait=False)
        self._bot_is_down = False

    def end_bot(self) -> None:
        """SIGTERM for the bot."""
        self._fault("the bot by SIGTERM")
        self._deaths.append(time.monotonic())
        self.world.bot.send_signal(signal.SIGTERM)
        since = time.monotonic()
        self.world.bot.wait_for_exit()
        self._slowest_end = max(self._slowest_end, time.monotonic() - since)
        self._bot_is_down = True

    def take_nick(self) -> None:
        """`kill -9` for the bot, and another one has its nick when it starts."""
        self.kill_bot()
        self._kills["the nick"] += 1
        self.chat.take_nick()
        self.start_bot()

    def cut_chat(self) -> None:
        """Nothing passes between the bot and the chat server any more."""
        self._fault("the connection without a word")
        self.chat.proxy.cut()

    def fill(self, disk: SmallDisk) -> None:
        """The disk of the bot's folder is full."""
        self._kills["the disk full"] += 1
        self._full_since = time.monotonic()
        disk.fill()

    def free(self, disk: SmallDisk) -> None:
        """There is space again."""
        disk.free()
        self._full.append((self._full_since, time.monotonic()))

    def _revive_bot(self) -> None:
        """Where it found no chat server at its start, it gave up, as Errbot does."""
        if not self.world.bot.running:
            self.world.bot.kill9()
            self.world.bot.start(wait=False)

    def kill_chat(self) -> None:
        """`kill -9` for the chat server."""
        self._fault("the chat server")
        self.chat.kill()

    def kill_server(self) -> None:
        """`kill -9` for Bugsink."""
        self._kills["the error server"] += 1
        self.server.kill()

    def start_server(self) -> None:
        """Bugsink is back."""
        self.server.start()

    def break_fallback(self) -> None:
        """The fallback's receiver refuses everything."""
        self._kills["the fallback"] += 1
        self.fallback.break_()

    def wait_for_fallback(self) -> None:
        """The chat server is away for as long as it takes: something goes to the fallback."""

        def takes_webhooks() -> bool:
            self._revive_bot()
            return self._post_known() == 202

        until(takes_webhooks, 180, "the bot takes webhooks", every=0.5)
        self.kill_chat()
        self._problems += 1
        self._send(self._problems)
        due = time.monotonic() + self._after  # in a storm it goes in a list, which need not name it
        until(lambda: self.fallback.took_since(due), 180, "the fallback's receiver has what the chat does not take")
        self.chat.start()

    def _fault(self, what: str) -> None:
        self._kills[what] += 1
        self._faults.append(time.monotonic())

    # The load.

    def _events(self, seconds: float, burst: int) -> None:
        """New problems, old ones, and one burst."""
        start, burst_at = time.monotonic(), seconds * self._chance.uniform(0.5, 0.8)
        while not self._end.wait(self._chance.uniform(0.1, 1.1)):
            new = 1 if self._chance.random() < 0.12 or not self._problems else 0
            if time.monotonic() - start > burst_at:
                new, burst_at = burst, float("inf")
            for _ in range(new):
                self._problems += 1
                self._send(self._problems)
            if not new:
                self._send(self._chance.randint(1, self._problems))

    def _send(self, number: int) -> None:
        with suppress(*_NO_ANSWER):  # the server is away: the application's loss, nobody's knowledge
            self.project.send_event("FaultError", _words(number), fingerprint=[f"problem {number}"])
            self._learn()

    def _learn(self) -> None:
        if self._problems % 5 == 0 or not self._known:
            with suppress(*_NO_ANSWER, Refused):
                self._known = self.project.issues()

    def _rules(self) -> None:
        """A rule of somebody's fires for a problem that is known."""
        while not self._end.wait(self._chance.expovariate(30)):
            if self._known:
                self._post_known()

    def _post_known(self) -> int:
        issue = self._chance.choice(self._known)
        self._rule_number += 1
        body = bodies.bugsink(
            issue["id"],
            friendly_id=issue["friendly_id"],
            calculated_type="FaultError",
            calculated_value=issue["calculated_value"],
            title=f"FaultError: {issue['calculated_value']}",
            project=self.project.id,
            project_name=self.project.name,
            digested_event_count=self._rule_number,  # no two bodies are the same
        )
        return self._post_bugsink(bodies.encode(body))

    def _pass_on(self, request: Request) -> Reply:
        """Bugsink's alert goes through here, so that its answer is known."""
        return Reply(self._post_bugsink(request.body) or 502)

    def _post_bugsink(self, body: bytes) -> int:
        status = self._post(f"sentry/webhook/{self.world.token}", body, {"Content-Type": "application/json"})
        self._count(status, "body:" + hashlib.sha256(body).hexdigest())
        return status

    def _post(self, path: str, body: bytes, headers: dict[str, str]) -> int:
        """The bot's answer, 0 for none."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.world.port}/{path}", body, headers)
        try:
            with open_url(request, timeout=20) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except _NO_ANSWER:
            return 0

    def _count(self, status: int, key: str) -> None:
        with self._counting:
            self._answers[str(status) if status else "unanswered"] += 1
            if status == 202:
                self._promised.add(key)
                self._answered.append(time.monotonic())

    # The end.

    def _polled(self) -> bool:
        store = Store(self.state)
        try:
            with store.read() as tx:
                return any(mark.answered_at for mark in tx.polls.all())
        finally:
            store.close()

    def come_to_rest(self, timeout: float = 180.0) -> None:
        """Everything is up: wait until all is found, decided and delivered."""
        since = time.time()
        issues = self._issues()

        def busy() -> list[str]:
            self._revive_bot()
            store = Store(self.state)
            try:
                # Before the outbox: the room is told by a message.
                untold = {state for state, _ in fallbacks_of(store).values()} & _UNTOLD
                with store.read() as tx:
                    known = tx.issues.get_many(list(issues.values()))
                    facts = {
                        "the poller": not all(mark.answered_at > since for mark in tx.polls.all()),
                        "the inbox": tx.inbox.waiting_count()[0],
                        "problems": not all(each in known and known[each].notified_at for each in issues.values()),
                        "the outbox": tx.outbox.state(since).depth,
                        "deferred": tx.deferred.counts(),
                    }
                facts |= {"the fallback": untold, "unsure": outbox_of(store, self.chat.room, UNSURE)}
                return [f"{name}: {fact}" for name, fact in facts.items() if fact]
            finally:
                store.close()

        until(lambda: not busy(), timeout, lambda: f"everything is sent; not yet: {'; '.join(busy())}", every=0.5)

    def report(self) -> FaultReport:
        """Stop the bot and read everything."""
        self.world.bot.stop()
        self.chat.wait_for_no_bot()
        self.chat.unwatch()
        store = Store(self.state)
        try:
            with store.read() as tx:
                alerts = [each for room in (self.chat.room, "") for each in tx.inbox.decided(room, 1_000_000)]
                waiting, _ = tx.inbox.waiting_count()
            rows = outbox_of(store, self.chat.room, SENT, UNSURE)
            fallbacks = fallbacks_of(store)
        finally:
            store.close()
        return FaultReport(
            answers=self._answers,
            kills=self._kills,
            issues=self._issues(),
            alerts=alerts,
            waiting=waiting,
            broken_promises=len(self._promised - {each.alert.delivery for each in alerts}),
            beyond=sum(row.message.values["left"] for row in rows if row.message.kind in _CUT_LISTS),
            messages=[lines_of(row) for row in rows],
            is_shared=self._is_shared,
            fallback=self._fallback_books(rows, fallbacks),
            received=sorted(self.chat.received),
            faults=self._faults,
            full=self._full,
            unseen=self.chat.unseen,
            slowest_end=self._slowest_end,
            tracebacks=self.world.bot.log.count("Traceback"),
        )

    def _fallback_books(self, rows: list[OutboxRow], fallbacks: dict[int, tuple[str, bool]]) -> FallbackBooks:
        offset = time.time() - time.monotonic()
        stuck = []
        for row in (row for row in rows if row.message.kind in NOTIFICATION_KINDS):
            line = next(line for line in lines_of(row) if PROBLEM.search(line))
            in_room = [at for at, text in self.chat.received if text == line]
            stuck.append(StuckRow(fallback_text(row), row.made - offset, in_room, *fallbacks.get(row.id, ("", False))))
        return FallbackBooks(
            after=self._after,
            rows=stuck,
            came=self.fallback.came,
            answered=self._answered,
            deaths=self._deaths,
            noticed=[row.message.values["count"] for row in rows if row.message.kind is MessageKind.OUTAGE_NOTICE],
        )

    def _issues(self) -> dict[int, str]:
        """Problem to issue, as the server knows them."""
        return {int(PROBLEM.findall(issue["calculated_value"])[0]): issue["id"] for issue in self.project.issues()}


def _words(number: int) -> str:
    return f"problem {number} of this run"


def lines_of(row: OutboxRow) -> list[str]:
    """A message of the outbox as lines of the room."""
    text = _TEXT.convert(Templates("text").render(TEMPLATES[row.message.kind], row.message.values))
    return [tidy(line) for line in text.split("\n") if line.strip()]
