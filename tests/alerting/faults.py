"""Everything that can die, dying under load: a real Errbot, ngircd and Bugsink, and the report afterwards.

The load: Bugsink gets events, a part of them new problems, and posts its alerts to the bot; besides, signed rule alerts
about known problems reach the bot all the time.
"""

from __future__ import annotations

import hashlib
import random
import re
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path

from errbot import rendering

from demo.bugsink import Bugsink, Refused
from demo.processes import open_url
from errbot_sentry.alerting.decide.messages import TEMPLATES
from errbot_sentry.chat.render.templates import Templates
from errbot_sentry.domain.alerts import MessageKind
from errbot_sentry.store.database import Store
from errbot_sentry.store.records import SENT, UNSURE, OutboxRow
from tests.alerting import bodies
from tests.alerting.fault_report import PROBLEM, FaultReport
from tests.fakes.http_server import HttpServer, Reply, Request
from tests.servers.bugsink import BugsinkProject
from tests.servers.irc_client import IrcClient, Line
from tests.servers.ngircd import Ngircd
from tests.stores import outbox_of
from tests.system.irc_world import BOT, ROOM, IrcWorld
from tests.waiting import until

# A server may die before, while and after it answers.
_NO_ANSWER = (OSError, HTTPException)
_CUT_LISTS = (MessageKind.STORM_LIST, MessageKind.AWAY_LIST)

_TEXT = rendering.text()


class FaultRun:
    """One run: `running`, `load` with somebody who kills, everything started again, `come_to_rest`, `report`."""

    def __init__(self, folder: Path, server: Bugsink, ircd: Ngircd, chance: random.Random) -> None:
        self.server, self.ircd = server, ircd
        self.project = BugsinkProject(server, server.make_project("shop"))
        self.world = IrcWorld(
            folder,
            ircd,
            self.project,
            BOT_LOG_SENTRY=False,
            STORAGE="Memory",  # Errbot's own storage does not survive kill -9, with or without us
            IRC_CHANNEL_RATE=None,
            SENTRY_ALERTS=[{"rooms": [ROOM], "window": "20s"}],
            SENTRY_WEBHOOK_SECRET=bodies.SECRET.reveal(),
            SENTRY_POLL_SECONDS=3,
        )
        self.state = f"sqlite:///{self.world.bot.data / 'sentry_reporter.sqlite3'}"
        self._chance = chance
        self._answers: Counter[str] = Counter()
        self._kills: Counter[str] = Counter()
        self._faults: list[float] = []
        self._promised: set[str] = set()
        self._received: list[tuple[float, str]] = []
        self._person: IrcClient | None = None
        self._unseen = 0
        self._problems = 0
        self._known: list[tuple[str, str]] = []
        self._counting = threading.Lock()
        self._end = threading.Event()
        self._relay = HttpServer(self._pass_on)

    @contextmanager
    def running(self) -> Iterator[FaultRun]:
        """Everything up and connected, the poller's first look done; everything down afterwards."""
        with self._relay:
            self.project.add_alert(f"{self._relay.url}/bugsink")
            self._watch()
            try:
                self.world.bot.start()
                assert self._person is not None
                self._person.wait_for_join(BOT, ROOM)
                until(self._polled, 60, "the first poll")
                yield self
            finally:
                self._end.set()
                self.world.bot.kill9()
                self._unwatch()

    def load(self, seconds: float, faults: Callable[[float], None], burst: int = 25) -> None:
        """Load for so long; `faults` is called with the seconds that have passed, again and again.

        `burst` is the number of problems that come at once, somewhere in the second half.
        """
        with ThreadPoolExecutor(2) as pool:
            parts = [pool.submit(self._events, seconds, burst), pool.submit(self._rules)]
            start = time.monotonic()
            try:
                while (passed := time.monotonic() - start) < seconds and not any(part.done() for part in parts):
                    self._listen()
                    faults(passed)
                    if not self._bot_is_down:
                        self._revive_bot()
                    time.sleep(0.05)
            finally:
                self._end.set()
            for part in parts:
                part.result()

    # What can die.

    _bot_is_down = False

    def kill_bot(self) -> None:
        """`kill -9` for the bot."""
        self._fault("the bot")
        self.world.bot.kill9()
        self._bot_is_down = True

    def start_bot(self) -> None:
        """Start the bot again, whatever else is away."""
        if self._person is not None:
            until(lambda: self._person is None or BOT not in self._person.names(ROOM), 30, "the old bot has left")
        self.world.bot.start(wait=False)
        self._bot_is_down = False

    def _revive_bot(self) -> None:
        """Where it found no chat server at its start, it gave up, as Errbot does."""
        if not self.world.bot.running:
            self.world.bot.kill9()
            self.world.bot.start(wait=False)

    def kill_chat(self) -> None:
        """`kill -9` for the IRC server."""
        self._listen()
        self._fault("the chat server")
        self.ircd.kill()
        self._unwatch()

    def start_chat(self) -> None:
        """The IRC server is back, and who writes down is the first in the room."""
        self.ircd.start()
        self._watch()

    def kill_server(self) -> None:
        """`kill -9` for Bugsink."""
        self._kills["the error server"] += 1
        self.server.kill()

    def start_server(self) -> None:
        """Bugsink is back."""
        self.server.start()

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
            self.project.send_event("FaultError", f"problem {number} of this run", fingerprint=[f"problem {number}"])
            self._learn()

    def _learn(self) -> None:
        if self._problems % 5 == 0 or not self._known:
            with suppress(*_NO_ANSWER, Refused):
                self._known = [(row["id"], row["calculated_value"]) for row in self.project.issues()]

    def _rules(self) -> None:
        """A rule of somebody's fires for a problem that is known."""
        number = 0
        while not self._end.wait(self._chance.expovariate(30)):
            known = self._known
            if not known:
                continue
            number += 1
            issue, title = self._chance.choice(known)
            fields = {"event_id": f"{number:032x}", "title": f"FaultError: {title}"}
            body = bodies.encode(bodies.sentry_event_alert(issue, self.project.slug, **fields))
            headers = bodies.signed(body, "event_alert", f"rule-{number}")
            status = self._post("sentry/webhook", body, headers)
            self._count(status, f"request:rule-{number}")

    def _pass_on(self, request: Request) -> Reply:
        """Bugsink's alert goes through here, so that its answer is known."""
        status = self._post(f"sentry/webhook/{self.world.token}", request.body, {"Content-Type": "application/json"})
        self._count(status, "body:" + hashlib.sha256(request.body).hexdigest())
        return Reply(status or 502)

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

    # The one who writes down what the room receives.

    def _watch(self) -> None:
        self._person = IrcClient(self.ircd.host, self.ircd.port, "alice")
        self._person.join(ROOM)
        self._unseen += BOT in self._person.names(ROOM)

    def _unwatch(self) -> None:
        if self._person is not None:
            self._person.close()
            self._received += [(line.at, plain(line)) for line in self._person.lines(ROOM, BOT)]
            self._person = None

    def _listen(self) -> None:
        """Notice a connection that ended by itself."""
        assert self._person is None or self._person.connected, "the IRC server ended by itself"

    # The end.

    def _polled(self) -> bool:
        store = Store(self.state)
        try:
            with store.read() as tx:
                return any(mark.answered_at for mark in tx.polls.all())
        finally:
            store.close()

    def come_to_rest(self, timeout: float = 420.0) -> None:
        """Everything is up: wait until all is found, decided and delivered. The irc library may wait five minutes."""
        since = time.time()
        issues = self._issues()

        def at_rest() -> bool:
            self._revive_bot()
            store = Store(self.state)
            try:
                with store.read() as tx:
                    polled = all(mark.answered_at > since for mark in tx.polls.all())
                    waiting, _ = tx.inbox.waiting_count()
                    known = tx.issues.get_many(list(issues.values()))
                    sent = all(issue in known and known[issue].notified_at for issue in issues.values())
                    busy = tx.outbox.state(since).depth or tx.deferred.counts()
                    return bool(polled and sent and not waiting and not busy and not outbox_of(store, ROOM, UNSURE))
            finally:
                store.close()

        until(at_rest, timeout, "everything is sent", every=0.5)

    def report(self) -> FaultReport:
        """Stop the bot and read everything."""
        self.world.bot.stop()
        if self._person is not None:
            until(lambda: BOT not in (self._person.names(ROOM) if self._person else ()), 30, "the bot has left")
        self._unwatch()
        store = Store(self.state)
        try:
            with store.read() as tx:
                alerts = [each for room in (ROOM, "") for each in tx.inbox.decided(room, 1_000_000)]
                waiting, _ = tx.inbox.waiting_count()
            rows = outbox_of(store, ROOM, SENT, UNSURE)
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
            outbox=Counter(line for row in rows for line in lines_of(row)),
            received=sorted(self._received),
            faults=self._faults,
            unseen=self._unseen,
            tracebacks=self.world.bot.log.count("Traceback"),
        )

    def _issues(self) -> dict[int, str]:
        """Problem to issue, as the server knows them."""
        return {int(PROBLEM.findall(issue["calculated_value"])[0]): issue["id"] for issue in self.project.issues()}


def lines_of(row: OutboxRow) -> list[str]:
    """A message of the outbox as lines of the room."""
    text = _TEXT.convert(Templates("text").render(TEMPLATES[row.message.kind], row.message.values))
    return [tidy(line) for line in text.split("\n") if line.strip()]


def plain(line: Line) -> str:
    """A line of the room without IRC's codes."""
    return tidy(re.sub("[\x02\x03\x0f\x1d\x1f]", "", line.text))


def tidy(text: str) -> str:
    """Words and single spaces."""
    return " ".join(text.replace("\u200b", "").split())
