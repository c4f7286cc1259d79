"""One noisy hour in a room, for real: a real Bugsink, a real ngircd, a real Errbot, somebody who types.

    python -m tests.alerting.noisy_hour [MINUTES] [FILE]

Plays the hour of `story` (60 minutes, the routes' own windows; with fewer MINUTES everything is shorter in proportion)
and writes what the room saw to FILE, docs/noisy-hour.md where none is named. Nothing is picked out: every line of the
room is there, in order, with the second at which it came.
"""

from __future__ import annotations

import random
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

from demo import environments
from demo.bugsink import Bugsink
from tests.servers.bugsink import BugsinkProject
from tests.servers.irc_client import IrcClient, Line
from tests.servers.ngircd import Ngircd
from tests.system.irc_world import BOT, ROOM, IrcWorld

ROOT = Path(__file__).resolve().parents[2]
HOUR = 60.0

CHECKOUT = ("ZeroDivisionError", "division by zero", "checkout")
BASKET = ("KeyError", "'basket'", "show_basket")
SUPPLIER = ("ConnectionError", "the supplier's stock service does not answer", "refresh_stock")
COUPON = ("ValueError", "invalid coupon: @here **urgent** <!channel> `x` http://evil.example/", "apply_coupon")
PAYMENT = ("TimeoutError", "no answer from the bank within 10 s", "pay")
RECEIPT = ("UnicodeEncodeError", "'ascii' codec can't encode character 'é'", "print_receipt")
DEPLOYED = [("AttributeError", f"'Order' object has no attribute 'rate_{n}'", f"order_{n}") for n in range(1, 31)]

_HEAD = """\
# A noisy hour

This is what the room `{room}` got while {events} events of {problems} problems happened. `alice` works in that room.
`python -m tests.alerting.noisy_hour` recorded these {minutes:g} minutes with Bugsink 2.6.1, ngircd and Errbot, with
{windows}. Every line of the room is here; {lines} of them are the bot's. Times are UTC. `--` marks what happened
outside of the room. Addresses are shortened, and bold is left out.
"""

Action = Callable[["Hour"], None]


def story() -> list[tuple[float, Action]]:
    """What happens at which minute. Short ids count up in the order in which problems first happen."""
    chance = random.Random(1)
    events: list[tuple[float, Action]] = [
        *often(chance, CHECKOUT, 400, 1.1, 60),
        *often(chance, BASKET, 25, 4.1, 16),
        *often(chance, BASKET, 30, 40.1, 60),
        *often(chance, SUPPLIER, 250, 7.1, 60),
        *often(chance, PAYMENT, 20, 35, 39),
        *often(chance, DEPLOYED[0], 40, 21.5, 33),
    ]
    return sorted(
        [
            (1, error(CHECKOUT)),
            (2, say("!sentry issues")),
            (4, error(BASKET)),
            (7, error(SUPPLIER)),
            (9, silence("SHOP-3", 35, "the supplier is down, they know")),
            (10, say("!sentry silences")),
            (16.2, say("!sentry issue SHOP-2")),
            (17, say("!sentry resolve SHOP-2")),
            (18, error(COUPON)),
            (20, narrate("the shop is deployed: 30 new problems within 40 seconds")),
            *[(20 + chance.uniform(0.05, 0.7), error(problem)) for problem in DEPLOYED],
            (23.5, say("!sentry alerts -n 5")),
            (24.5, say("!sentry issues AttributeError -n 3")),
            (34, say("!sentry resolve SHOP-5")),
            (35.5, network(up=False)),
            (35.6, error(PAYMENT)),
            (36, error(RECEIPT)),
            (37.5, network(up=True)),
            (40, error(BASKET)),
            (46, say("!sentry alerts --silenced -n 3")),
            (52, say("!sentry assign SHOP-1 me")),
            (53, say("!sentry silence project=shop")),
            (55, say("!sentry digest now")),
            (57, say("!sentry status")),
            *events,
        ],
        key=lambda each: each[0],
    )


def often(
    chance: random.Random, problem: tuple[str, str, str], times: int, start: float, end: float
) -> list[tuple[float, Action]]:
    """A problem that goes on between two minutes."""
    return [(chance.uniform(start, end), error(problem)) for _ in range(times)]


def error(problem: tuple[str, str, str]) -> Action:
    """The shop reports an error to Bugsink."""
    kind, value, place = problem

    def act(hour: Hour) -> None:
        hour.events += 1
        hour.problems.add(problem)
        hour.project.send_event(kind, value, transaction=place, environment="production", release="shop@1.4")

    return act


def say(text: str) -> Action:
    """Ann types a line in the room."""
    return lambda hour: hour.type(text)


def silence(ref: str, minutes: float, why: str) -> Action:
    """Ann silences something for so many minutes of the story."""
    return lambda hour: hour.type(f"!sentry silence {ref} -d {hour.span(minutes)} -c {why}")


def narrate(text: str) -> Action:
    """A line for the reader."""
    return lambda hour: hour.note(text)


def network(*, up: bool) -> Action:
    """The IRC server dies, or is back."""
    return lambda hour: hour.network_back() if up else hour.network_gone()


class Hour:
    """Everything that takes part, and the record."""

    def __init__(self, folder: Path, project: BugsinkProject, ircd: Ngircd, minutes: float) -> None:
        self.project = project
        self.ircd = ircd
        self.pace = minutes / HOUR
        self.events = 0
        self.problems: set[tuple[str, str, str]] = set()
        self._record: list[tuple[float, str]] = []
        self._writing = threading.Lock()
        self._ann: IrcClient | None = None
        self._taken = 0
        settings: dict[str, object] = {"SENTRY_ALERTS": [{"rooms": [ROOM], **self._windows()}], "BOT_LOG_SENTRY": False}
        if self.pace != 1:
            settings["SENTRY_POLL_SECONDS"] = max(1, round(60 * self.pace))
        self.world = IrcWorld(folder, ircd, project, **settings)

    def _windows(self) -> dict[str, str]:
        return {} if self.pace == 1 else {"window": self.span(5), "repeat": self.span(240)}

    def span(self, minutes: float) -> str:
        """A time of the story as the bot takes it: `35m`, in a shorter run `105s`."""
        return f"{minutes:g}m" if self.pace == 1 else f"{max(1, round(minutes * 60 * self.pace))}s"

    def play(self) -> None:
        """From the first minute to the last."""
        self.project.add_alert(self.world.webhook)
        self._join()
        with self.world.bot:
            assert self._ann is not None
            self._ann.wait_for_join(BOT, ROOM)
            start = time.monotonic()
            for minute, action in [*story(), (HOUR, narrate("the hour is over"))]:
                self._listen_until(start + minute * 60 * self.pace)
                action(self)
            self._leave()

    def type(self, text: str) -> None:
        """Ann says it, and the record has it: a server does not echo one's own words."""
        assert self._ann is not None
        self._ann.say(ROOM, text)
        self._write(time.time(), f"<{self._ann.nick}> {text}")

    def note(self, text: str) -> None:
        """A line for the reader."""
        self._write(time.time(), f"-- {text}")

    def network_gone(self) -> None:
        """`kill -9` for the IRC server."""
        self._leave()
        self.ircd.kill()
        self.note("the IRC server is killed")

    def network_back(self) -> None:
        """The server starts again and Ann is back first."""
        self.ircd.start()
        self.note("the IRC server is started again")
        self._join()

    def _join(self) -> None:
        self._ann = IrcClient(self.ircd.host, self.ircd.port, "alice")
        self._taken = 0
        self._ann.join(ROOM)

    def _leave(self) -> None:
        self._listen_until(time.monotonic())
        if self._ann is not None:
            self._ann.close()
        self._ann = None

    def _listen_until(self, end: float) -> None:
        while True:
            left = max(0.0, end - time.monotonic())
            if self._ann is None:
                threading.Event().wait(left)  # nobody is in the room: only the hour goes on
            else:
                lines = self._ann.lines_after(self._taken, left)
                for line in lines:
                    self._take_down(line)
                self._taken += len(lines)
            if left == 0.0:
                return

    def _take_down(self, line: Line) -> None:
        at = time.time() - (time.monotonic() - line.at)
        if line.command in ("PRIVMSG", "NOTICE") and line.target.lower() == ROOM:
            self._write(at, f"<{line.sender}> {plain(line.text)}")
        elif line.command in ("JOIN", "PART", "QUIT") and line.sender == BOT:
            self._write(at, f"-- {BOT} {'joins' if line.command == 'JOIN' else 'is gone'}")

    def _write(self, at: float, text: str) -> None:
        with self._writing:
            self._record.append((at, text))
        print(f"{datetime.fromtimestamp(at, timezone.utc):%H:%M:%S} {text}", flush=True)

    def page(self, minutes: float) -> Iterator[str]:
        """The document."""
        lines = [text for _, text in self._record if text.startswith(f"<{BOT}>")]
        yield _HEAD.format(
            events=self.events,
            problems=len(self.problems),
            room=ROOM,
            minutes=minutes,
            windows="the default windows" if self.pace == 1 else "windows shortened in proportion",
            lines=len(lines),
        )
        yield "```"
        for at, text in self._record:
            yield f"{datetime.fromtimestamp(at, timezone.utc):%H:%M:%S} {text}"
        yield "```"


def plain(text: str) -> str:
    """A line as a client shows it, addresses shortened."""
    seen = re.sub("[\x02\x03\x0f\x1d\x1f\u200b]", "", text).rstrip()
    seen = seen[1:] if re.match(r" \S", seen) else seen
    return re.sub(r"http://127\.0\.0\.1:\d+/\S*", "http://…", seen)


def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else HOUR
    file = Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / "docs" / "noisy-hour.md"
    python = environments.build(environments.BUGSINK)
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        (folder / "irc").mkdir()
        with Bugsink(folder / "bugsink", python) as server, Ngircd(folder / "irc") as ircd:
            project = BugsinkProject(server, server.make_project("shop"))
            hour = Hour(folder, project, ircd, minutes)
            try:
                hour.play()
            finally:
                file.write_text("\n".join(hour.page(minutes)) + "\n", encoding="utf-8")
            print(f"tracebacks in the bot's log: {hour.world.bot.log.count('Traceback')}")


if __name__ == "__main__":
    main()
