"""The first message about a new problem, while a flood of webhooks about eight known ones comes in.

    python -m benchmarks.alerts_flood [--seconds 40] [--rates 50,100,200,400] [--postgresql] [--bots 2]

A real Errbot on ngircd, without its pause between lines; signed bodies of 3 KB over eight connections to each bot, at
each of these rates in all, and for a moment as fast as they are answered. Every two seconds comes a webhook about a new
problem; its time runs from the request to the line in the room. The floor is the same at one webhook a second. After
each rate everything has to be decided, and the books have to agree: what was answered with 202 is stored, each alert
has one decision, and each new problem one message. Two bots need `--postgresql`; each gets half of the webhooks.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from urllib.request import Request

from sqlalchemy import create_engine, text

from demo.processes import free_port, open_url
from tests.alerting import bodies
from tests.servers.errbot_process import ErrbotProcess, irc_settings
from tests.servers.irc_client import IrcClient
from tests.servers.ngircd import Ngircd
from tests.servers.postgres import Postgres
from tests.system.plugin_copies import PLUGIN
from tests.waiting import until

KNOWN, CONNECTIONS, PAUSE, SIZE = 8, 8, 2.0, 3_000
# A room takes twenty notifications a minute, then one list: the new problems take turns.
ROOMS = ("#known", "#new0", "#new1", "#new2", "#new3")
FLOOR, FULL = 1, 0  # rates: one a second, and as fast as they are answered
_MOST_PER_SECOND = 2_000
_LONGEST = 240.0


@dataclass(frozen=True)
class Result:
    """One rate: answers a second, seconds until the first messages, answers in ms, and alerts decided a second."""

    rate: float
    messages: list[float]
    answers: list[float]
    decided: float


class Flood:
    """The bots, the person in their rooms, and the books."""

    def __init__(self, folder: Path, ircd: Ngircd, state: str, bots: int) -> None:
        self._folder = folder
        self._ports = [free_port() for _ in range(bots)]
        self._engine = create_engine(state)
        self._numbers = count(1)
        self._sent = 0
        self._person = IrcClient(ircd.host, ircd.port, "alice")
        for room in ROOMS:
            self._person.join(room)
        routes = [{"rooms": [room], "match": [f"project={room[1:]}"]} for room in ROOMS]
        self._bots = [
            ErrbotProcess(
                folder / f"bot{port}",
                PLUGIN,
                {
                    **irc_settings(ircd.port, nick=f"bot{place}", rooms=ROOMS),
                    "SENTRY_ALERTS": routes,
                    "SENTRY_POLL_SECONDS": 0,
                    "SENTRY_STATE_URL": state,
                    "SENTRY_WEBHOOK_LISTEN": ("127.0.0.1", port),
                    "SENTRY_WEBHOOK_SECRET": bodies.SECRET.reveal(),
                },
                backend="IRC",
            )
            for place, port in enumerate(self._ports)
        ]

    @contextmanager
    def running(self) -> Iterator[Flood]:
        """All bots are in all rooms, and the eight problems are known."""
        with ExitStack() as stack:
            for place, bot in enumerate(self._bots):
                stack.enter_context(bot)
                for room in ROOMS:
                    self._person.wait_for_join(f"bot{place}", room)
            stack.callback(self._person.close)
            for number in range(KNOWN):
                self._post(bodies.sentry_issue(str(number), project="known"), f"first{number}")
                self._person.wait_for(rf"KNOWN-{number}\b", 30, target="#known")
            yield self

    def _post(self, body: dict[str, object], request_id: str) -> None:
        raw = bodies.encode(body)
        url = f"http://127.0.0.1:{self._ports[self._sent % len(self._ports)]}/sentry/webhook"
        with open_url(Request(url, raw, bodies.signed(raw, request_id=request_id)), timeout=30) as answer:
            assert answer.status == 202, answer.status
        self._sent += 1

    def _requests(self, path: Path, count_: int) -> None:
        with path.open("wb") as file:
            for _ in range(count_):
                number = next(self._numbers)
                body = bodies.encode(
                    bodies.sentry_event_alert(
                        str(number % KNOWN), "known", event_id=f"{number:032}", padding="x" * SIZE
                    )
                )
                headers = bodies.signed(body, "event_alert", request_id=f"r{number:09}")
                head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
                file.write(
                    f"POST /sentry/webhook HTTP/1.1\r\nHost: bot\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode()
                )
                file.write(body)

    def measure(self, rate: int, seconds: float) -> Result:
        """One rate, and then as long as it takes until everything is decided."""
        paths = [self._folder / f"requests{port}" for port in self._ports]
        for path in paths:
            self._requests(path, int(seconds * (rate or _MOST_PER_SECOND) / len(paths)) + 1)
        before, begun = self._decided(), time.monotonic()
        senders = [
            subprocess.Popen(
                [sys.executable, "-m", "benchmarks.alerts_load_worker",
                 *map(str, (port, CONNECTIONS, seconds, rate / len(paths), path))],
                stdout=subprocess.PIPE, text=True,
            )
            for port, path in zip(self._ports, paths, strict=True)
        ]  # fmt: skip
        posted = {}
        for place in range(int(seconds / PAUSE)):
            time.sleep(max(0.0, begun + 1 + place * PAUSE - time.monotonic()))  # the rhythm of the flood
            name = f"9{next(self._numbers):09}"
            posted[name] = time.monotonic()
            self._post(bodies.sentry_issue(name, project=ROOMS[1 + place % 4][1:]), name)
        answers, taken = [], 0
        for sender in senders:
            found = json.loads(sender.communicate()[0])
            answers += found["times"]
            taken += found["answers"].get("202", 0)
            assert found["answers"].keys() == {"202"}, found["answers"]
        sent_for = time.monotonic() - begun
        self._sent += taken
        until(lambda: self._decided() == self._sent, _LONGEST, "all alerts are decided", every=0.2)
        took = time.monotonic() - begun
        messages = [self._person.wait_for(f"-{name} ", 60).at - since for name, since in posted.items()]
        self._compare_books(posted)
        return Result(taken / sent_for, sorted(messages), sorted(answers), (self._sent - before) / took)

    def _decided(self) -> int:
        with self._engine.connect() as connection:
            return int(connection.scalar(text("SELECT count(*) FROM decisions")) or 0)

    def _compare_books(self, new: dict[str, float]) -> None:
        with self._engine.connect() as connection:
            stored = connection.scalar(text("SELECT count(*) FROM alerts"))
            alerts = connection.scalar(text("SELECT count(DISTINCT alert_id) FROM decisions"))
        said = [line.text for room in ROOMS[1:] for line in self._person.lines(room)]
        repeated = [name for name in new if sum(f"-{name} " in each for each in said) != 1]
        if not stored == alerts == self._decided() == self._sent or repeated:
            sys.exit(
                f"The books do not agree: {self._sent} answered 202, {stored} stored, {alerts} decided; {repeated}"
            )


def _at(values: list[float], part: float) -> float:
    return values[min(int(len(values) * part), len(values) - 1)]


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=float, default=40)
    options.add_argument("--rates", default="50,100,200,400")
    options.add_argument("--postgresql", action="store_true")
    options.add_argument("--bots", type=int, default=1)
    chosen = options.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ircd = stack.enter_context(Ngircd(folder))
        state = f"sqlite:///{folder / 'state.sqlite3'}"
        if chosen.postgresql:
            server = Postgres(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="postgres-"))))
            server.start()
            stack.callback(server.stop)
            state = server.url()
        flood = stack.enter_context(Flood(folder, ircd, state, chosen.bots).running())
        print(f"{chosen.bots} bot(s), {state.partition(':')[0]}, {os.cpu_count()} cores, {chosen.seconds:.0f} s each\n")
        titles = ("sent", "answered", "first message p50", "p95", "answer p50", "p99", "decided", "load")
        print(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}")
        for rate in (FLOOR, *map(int, chosen.rates.split(",")), FULL):
            found = flood.measure(rate, chosen.seconds)
            print(
                f"| {f'{rate} /s' if rate else 'at once'} | {found.rate:.0f} /s "
                f"| {_at(found.messages, 0.5):.2f} s | {_at(found.messages, 0.95):.2f} s "
                f"| {_at(found.answers, 0.5):.1f} ms | {_at(found.answers, 0.99):.1f} ms "
                f"| {found.decided:.0f} /s | {os.getloadavg()[0]:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
