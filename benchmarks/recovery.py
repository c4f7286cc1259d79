"""Seconds from the moment at which the chat network can be reached again to the first waiting alert in the room.

    python -m benchmarks.recovery [TIMES] [LONGEST]

Each case is run TIMES (3) times with the plugin, three bots at a time, and once with SENTRY_PATCH_ERRBOT = False, where
the wait ends after LONGEST (100) seconds; these are run side by side. Real Errbot, ngircd and prosody; the bot reaches
its server through a proxy that refuses, ends or silences connections. Without the patches the bot takes no webhooks
while the network is away; then the alert is posted as soon as it takes one.
"""

from __future__ import annotations

import logging
import os
import random
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPException
from itertools import count
from pathlib import Path

from tests.servers.irc_client import IrcClient
from tests.servers.ngircd import Ngircd
from tests.servers.prosody import Prosody
from tests.servers.tcp_proxy import TcpProxy
from tests.servers.xmpp_client import XmppClient
from tests.system.recovery_world import BOT, RecoveryWorld
from tests.waiting import until

TIMES, LONGEST = 3, 100.0
_AT_A_TIME = 3
_AWAY = (5.0, 12.0)
_GIVEN_UP = 60.0  # seconds


class Case:
    """One bot on one network, with a person in its room."""

    def __init__(self, folder: Path, network: str, *, patched: bool) -> None:
        folder.mkdir()
        self.server: Ngircd | Prosody
        self.server = Ngircd(folder) if network == "irc" else Prosody(folder, (BOT, "alice"))
        self.server.start()
        self.proxy = TcpProxy(self.server.port)
        # Without the patches XMPP's messages wait for the next ping, by default five minutes.
        settings = {} if patched else {"SENTRY_PATCH_ERRBOT": False, "XMPP_KEEPALIVE_INTERVAL": 1}
        self.world = RecoveryWorld(folder, self.server, port=self.proxy.port, **settings)
        self.person: IrcClient | XmppClient = self.world.person()
        self._numbers = count(1)
        self._waiting = ""

    @contextmanager
    def running(self) -> Iterator[Case]:
        """Connected, and one alert is in the room."""
        try:
            with self.proxy, self.world.bot:
                self.person.wait_for_join(BOT, self.world.room)
                self.wait(self.hook(), 60)
                yield self
                self.world.bot.kill9()
        finally:
            self.person.close()
            self.server.kill()

    def hook(self) -> str:
        """A new problem; its short id."""
        number = next(self._numbers)
        self._waiting = "" if self._is_taken(number) else str(number)
        return f"SHOP-{number}"

    def _is_taken(self, number: int | str) -> bool:
        try:
            self.world.hook(str(number))
        except (OSError, HTTPException):
            return False
        return True

    def wait(self, alert: str, longest: float) -> None:
        if self._waiting:
            until(lambda: self._is_taken(self._waiting), longest, "the bot takes webhooks", every=0.5)
        self.person.wait_for(rf"{alert}\b", longest)

    def restart_server(self) -> None:
        self.server.kill()
        self.person.close()
        self.server.start()
        self.person = self.world.person()


def restarted(case: Case) -> str:
    """The server ends and starts again."""
    case.proxy.refuse()
    case.restart_server()
    alert = case.hook()
    time.sleep(random.uniform(*_AWAY))  # how long it is away is what varies
    return alert


def dropped(case: Case) -> str:
    """Connections are ended and refused for a second."""
    case.proxy.refuse()
    case.proxy.end()
    time.sleep(1)  # the second of the docstring
    return case.hook()


def silent(case: Case) -> str:
    """Nothing passes for a while."""
    case.proxy.cut()
    alert = case.hook()
    time.sleep(random.uniform(*_AWAY))  # how long it is silent is what varies
    return alert


def forgotten(case: Case) -> str:
    """The connection is dead without a word, a new one could be made at once."""
    case.proxy.cut()
    return case.hook()


def killed(case: Case) -> str:
    """`kill -9`, while the server still has the old connection with the bot's nick; includes the bot's own start."""
    case.proxy.cut()
    alert = case.hook()
    case.world.bot.kill9()
    return alert


CASES: list[tuple[str, str, Callable[[Case], str]]] = [
    ("irc", "the server restarts", restarted),
    ("irc", "a drop of a second", dropped),
    ("irc", "nothing passes for a while", silent),
    ("irc", "the connection is forgotten", forgotten),
    ("irc", "kill -9 and start, the old nick taken", killed),
    ("xmpp", "the server restarts", restarted),
    ("xmpp", "a drop of a second", dropped),
    ("xmpp", "nothing passes for a while", silent),
    ("xmpp", "the connection is forgotten", forgotten),
    ("xmpp", "kill -9 and start", killed),
]


def seconds(network: str, harm: Callable[[Case], str], folder: Path, *, patched: bool, longest: float) -> float:
    """One measurement with a bot of its own; infinity where the alert did not come in `longest` seconds."""
    with Case(folder, network, patched=patched).running() as case:
        alert = harm(case)
        case.proxy.mend()
        since = time.monotonic()
        if not case.world.bot.running:
            case.world.bot.start(wait=False)
        try:
            case.wait(alert, longest)
        except AssertionError:
            return float("inf")
        return time.monotonic() - since


def main() -> None:
    times = int(sys.argv[1]) if len(sys.argv) > 1 else TIMES
    longest = float(sys.argv[2]) if len(sys.argv) > 2 else LONGEST
    warnings.simplefilter("ignore", DeprecationWarning)  # slixmpp 1.8.6 asks the resolver in its old way
    logging.disable(logging.WARNING)  # and warns of each nick
    with tempfile.TemporaryDirectory() as where, ThreadPoolExecutor(len(CASES)) as pool:
        folders = (Path(where) / str(number) for number in count())
        begun = os.getloadavg()[0]
        with ThreadPoolExecutor(_AT_A_TIME) as few:
            runs = [
                [
                    few.submit(seconds, network, harm, next(folders), patched=True, longest=_GIVEN_UP)
                    for _ in range(times)
                ]
                for network, _, harm in CASES
            ]
            ours = [[run.result() for run in some] for some in runs]
        load = (begun + os.getloadavg()[0]) / 2
        floors = list(
            pool.map(
                lambda case: seconds(case[0], case[2], case[3], patched=False, longest=longest),
                [(*case, next(folders)) for case in CASES],
            )
        )
    print(f"{times} times each, {os.cpu_count()} cores, load {load:.1f}\n")
    print("| network | what happens | median | slowest | Errbot's own |")
    print("|---|---|---|---|---|")
    for (network, name, _), found, floor in zip(CASES, ours, floors, strict=True):
        median, slowest = (_took(each, _GIVEN_UP) for each in (statistics.median(found), max(found)))
        print(f"| {network.upper()} | {name} | {median} | {slowest} | {_took(floor, longest)} |")


def _took(seconds: float, longest: float) -> str:
    return f"over {longest:.0f} s" if seconds > longest else f"{seconds:.1f} s"


if __name__ == "__main__":
    main()
