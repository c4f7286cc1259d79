"""Everything that can die, dying under load: a real Errbot, ngircd and Bugsink, and the books afterwards.

The load: Bugsink gets events, a part of them new problems, and posts its alerts to the bot; besides, signed rule alerts
about known problems reach the bot all the time. `FaultRun.books` compares what was promised (202), what the server
knows, what the state says and what the room saw.
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
from dataclasses import dataclass, field
from http.client import HTTPException
from itertools import pairwise
from pathlib import Path

from errbot import rendering

from demo.bugsink import Bugsink, Refused
from demo.processes import open_url
from errbot_sentry.chat.templates import Templates
from errbot_sentry.store.rows import SENT, UNSURE, DecidedAlert, OutboxRow
from errbot_sentry.store.store import Store
from tests.alerting import bodies
from tests.fakes.http_server import HttpServer, Reply, Request
from tests.scenario.irc_world import BOT, ROOM, IrcWorld
from tests.servers.bugsink import BugsinkProject
from tests.servers.irc_client import IrcClient, Line
from tests.servers.ngircd import Ngircd
from tests.waiting import until

# A message that was sent less than this many seconds before the bot or the connection died may be said again: five to
# count as arrived (chat/rooms.py), and what the bot needs to look at the clock and write it down on a busy machine.
TWICE_WITHIN = 5.0 + 3.0

# A server may die before, while and after it answers.
_NO_ANSWER = (OSError, HTTPException)

_WORD = re.compile(r"problem (\d+) of this run")
_TEXT = rendering.text()


@dataclass
class Books:
    """What the run came to; `check` says whether it adds up."""

    answers: Counter[str]
    kills: Counter[str]
    issues: dict[int, str]
    alerts: list[DecidedAlert]
    waiting: int
    unknown_promises: int
    outbox: Counter[str]
    beyond: int
    heard: list[tuple[float, str]]
    faults: list[float]
    unseen: int
    tracebacks: int
    decided: Counter[str] = field(init=False)

    def __post_init__(self) -> None:
        self.decided = Counter(alert.name for alert in self.alerts)

    @property
    def first_told(self) -> dict[int, list[float]]:
        """Problem to the moments at which its first word was in the room, alone or in a list."""
        told: dict[int, list[float]] = {}
        for at, text in self.heard:
            for number in _WORD.findall(text):
                told.setdefault(int(number), []).append(at)
        return told

    @property
    def found_by_poller(self) -> int:
        """Problems of which the room's first word came from the poller."""
        return sum(1 for alert in self.alerts if alert.alert.source == "poll" and alert.name in ("first", "storm"))

    @property
    def twice(self) -> Counter[str]:
        """Lines that were in the room more often than the outbox has them."""
        return Counter(text for _, text in self.heard) - self.outbox

    def check(self) -> None:
        """Fail with the first thing that does not add up."""
        assert self.unseen == 0, "the bot was in the room before the one who writes down: try another seed"
        assert self.waiting == 0, "every alert is decided"
        assert self.unknown_promises == 0, "what was answered 202 is in the state"
        assert sum(self.decided.values()) == len({alert.alert.delivery for alert in self.alerts}), "decided once"
        untold = set(self.issues) - set(self.first_told)
        stormed = {each.alert.issue_id for each in self.alerts if each.name == "storm"}
        assert {self.issues[number] for number in untold} <= stormed, f"told alone or in a list, but not: {untold}"
        assert len(untold) == self.beyond, f"{len(untold)} are in no list, the lists say that {self.beyond} are"
        missing = self.outbox - Counter(text for _, text in self.heard)
        assert not missing, f"all that counts as delivered was in the room; missing: {missing.most_common(3)}"
        for text in self.twice:
            times = [at for at, heard in self.heard if heard == text]
            for earlier, later in pairwise(times):
                dead = [fault for fault in self.faults if earlier - 1 <= fault <= min(later, earlier + TWICE_WITHIN)]
                ours = self.outbox[text] > 1  # the same words, meant twice: "SHOP-1 3 more alerts in 1m"
                assert dead or ours, f"said twice without a reason: {text} at {earlier:.1f} and {later:.1f}"

    def told(self) -> Iterator[str]:
        """The outcome in lines."""
        names = ", ".join(f"{count} {name}" for name, count in sorted(self.decided.items()))
        answers = ", ".join(f"{count:,} {name}" for name, count in self.answers.most_common())
        yield f"killed: {', '.join(f'{what} {count} times' for what, count in sorted(self.kills.items()))}"
        yield f"{sum(self.answers.values()):,} webhooks: {answers}"
        yield f"{len(self.alerts):,} alerts, webhook's and poller's, each decided once: {names}"
        named = f"{len(self.first_told)} told by name, {self.beyond} in the 'and … more' of a list"
        yield f"{len(self.issues)} problems on the server: {named}; {self.found_by_poller} found by the poller first"
        yield f"{len(self.heard):,} lines in the room, {sum(self.twice.values())} of them again, each around a kill"
        yield f"tracebacks in the bot's log: {self.tracebacks}"


class FaultRun:
    """One run. `faults` is an iterator's worth of moments; all randomness comes from `chance`."""

    def __init__(self, folder: Path, server: Bugsink, ircd: Ngircd, chance: random.Random) -> None:
        self.server, self.ircd = server, ircd
        self.project = BugsinkProject(server, server.make_project("shop"))
        self.world = IrcWorld(
            folder,
            ircd,
            self.project,
            BOT_LOG_SENTRY=False,
            STORAGE="Memory",  # Errbot's own storage does not survive kill -9, with or without us (errbot-facts, 8)
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
        self._heard: list[tuple[float, str]] = []
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

    def load(self, seconds: float, faults: Callable[[float], None]) -> None:
        """Load for so long; `faults` is called with the seconds left, again and again, and may take its time."""
        with ThreadPoolExecutor(2) as pool:
            parts = [pool.submit(self._events, seconds), pool.submit(self._rules)]
            deadline = time.monotonic() + seconds
            try:
                while (left := deadline - time.monotonic()) > 0 and not any(part.done() for part in parts):
                    self._listen()
                    faults(left)
                    if not self.world.bot.running and not self._bot_is_down:
                        self.world.bot.start(wait=False)  # it found no chat server at its start and gave up
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

    def _events(self, seconds: float) -> None:
        """New problems, old ones, and one burst."""
        start, burst_at = time.monotonic(), seconds * self._chance.uniform(0.5, 0.8)
        while not self._end.wait(self._chance.uniform(0.1, 1.1)):
            new = 1 if self._chance.random() < 0.12 or not self._problems else 0
            if time.monotonic() - start > burst_at:
                new, burst_at = 25, float("inf")
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

    # The one who writes down what the room hears.

    def _watch(self) -> None:
        self._person = IrcClient(self.ircd.host, self.ircd.port, "alice")
        self._person.join(ROOM)
        self._unseen += BOT in self._person.names(ROOM)

    def _unwatch(self) -> None:
        if self._person is not None:
            self._person.close()
            self._heard += [(line.at, plain(line)) for line in self._person.lines(ROOM, BOT)]
            self._person = None

    def _listen(self) -> None:
        """Notice a connection that ended by itself."""
        assert self._person is None or self._person.connected, "the IRC server ended by itself"

    # The end.

    def _polled(self) -> bool:
        store = Store(self.state)
        try:
            with store.read() as work:
                return any(mark.asked for mark in work.polls.all())
        finally:
            store.close()

    def come_to_rest(self, timeout: float = 420.0) -> None:
        """Everything is up: wait until all is found, decided and delivered. The irc library may wait five minutes."""
        since = time.time()
        issues = self._issues()

        def at_rest() -> bool:
            if not self.world.bot.running:
                self.world.bot.start(wait=False)
            store = Store(self.state)
            try:
                with store.read() as work:
                    polled = all(mark.asked > since for mark in work.polls.all())
                    waiting, _ = work.inbox.waiting_count()
                    known = work.issues.get_many(list(issues.values()))
                    told = all(issue in known and known[issue].announced for issue in issues.values())
                    busy = work.outbox.state().depth or work.outbox.rows(ROOM, (UNSURE,)) or work.held.counts()
                    return bool(polled and told and not waiting and not busy)
            finally:
                store.close()

        until(at_rest, timeout, "everything is told", every=0.5)

    def books(self) -> Books:
        """Stop the bot and read everything."""
        self.world.bot.stop()
        if self._person is not None:
            until(lambda: BOT not in (self._person.names(ROOM) if self._person else ()), 30, "the bot has left")
        self._unwatch()
        store = Store(self.state)
        try:
            with store.read() as work:
                known = work.inbox._seen(self._promised)
                alerts = [each for room in (ROOM, "") for each in work.inbox.decided(room, 1_000_000)]
                waiting, _ = work.inbox.waiting_count()
                rows = work.outbox.rows(ROOM, (SENT, UNSURE))
        finally:
            store.close()
        return Books(
            answers=self._answers,
            kills=self._kills,
            issues=self._issues(),
            alerts=alerts,
            waiting=waiting,
            unknown_promises=len(self._promised - set(known)),
            beyond=sum(row.message.values.get("left", 0) for row in rows if row.message.template == "sentry_held"),
            outbox=Counter(line for row in rows for line in lines_of(row)),
            heard=sorted(self._heard),
            faults=self._faults,
            unseen=self._unseen,
            tracebacks=self.world.bot.log.count("Traceback"),
        )

    def _issues(self) -> dict[int, str]:
        """Problem to issue, as the server knows them."""
        return {int(_WORD.findall(issue["calculated_value"])[0]): issue["id"] for issue in self.project.issues()}


def lines_of(row: OutboxRow) -> list[str]:
    """A message of the outbox as lines of the room."""
    text = _TEXT.convert(Templates("text").render(row.message.template, row.message.values))
    return [tidy(line) for line in text.split("\n") if line.strip()]


def plain(line: Line) -> str:
    """A line of the room without IRC's codes."""
    return tidy(re.sub("[\x02\x03\x0f\x1d\x1f]", "", line.text))


def tidy(text: str) -> str:
    """Words and single spaces."""
    return " ".join(text.replace("\u200b", "").split())
