"""Break the bot, its servers and its disk at random moments under load, then check that everything adds up.

    python -m benchmarks.alerts_faults [SECONDS] [SEED] [--xmpp] [--postgres]

Real Errbot, real ngircd (prosody with --xmpp), real Bugsink, a fallback by the real Apprise, the state in SQLite
(PostgreSQL with --postgres); see tests/alerting/faults.py for the load and for what must add up. The disk is filled
where a tmpfs may be mounted.
"""

from __future__ import annotations

import argparse
import logging
import random
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from demo import environments
from demo.bugsink import Bugsink
from tests.alerting.fault_chat import FaultChat
from tests.alerting.faults import FaultRun
from tests.servers.ngircd import Ngircd
from tests.servers.postgres import Postgres
from tests.servers.prosody import Prosody
from tests.servers.small_disk import SmallDisk, small_disk

SECONDS, SEED = 300.0, 7
# Seconds between two faults, at random between these.
BETWEEN = (5.0, 20.0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("seconds", type=float, nargs="?", default=SECONDS)
    parser.add_argument("seed", type=int, nargs="?", default=SEED)
    parser.add_argument("--xmpp", action="store_true")
    parser.add_argument("--postgres", action="store_true")
    wanted = parser.parse_args()
    logging.getLogger("errbot_sentry.store.database").setLevel(logging.ERROR)  # we look into the running bot's state
    warnings.simplefilter("ignore", DeprecationWarning)  # slixmpp 1.8.6 asks the resolver in its old way
    python = environments.build(environments.BUGSINK)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "chat").mkdir()
        people = ("sentrybot", "alice")
        chat = Prosody(folder / "chat", people) if wanted.xmpp else Ngircd(folder / "chat")
        server = stack.enter_context(Bugsink(folder / "bugsink", python))
        disk = stack.enter_context(small_disk(folder / "bot" / "data"))
        state = _postgres(stack) if wanted.postgres else ""
        run = FaultRun(folder, server, FaultChat(stack.enter_context(chat)), random.Random(wanted.seed), state)
        dice = Dice(_faults(run, disk), random.Random(wanted.seed))
        with run.running():
            run.load(wanted.seconds, dice)
            dice.heal()
            run.wait_for_fallback()
            run.come_to_rest()
            report = run.report()
    state_name = "PostgreSQL" if wanted.postgres else "SQLite"
    print(f"{wanted.seconds:g} s, seed {wanted.seed}, {'prosody' if wanted.xmpp else 'ngircd'}, {state_name}")
    for line in report.lines():
        print(line)
    report.check()
    print("everything adds up")


def _postgres(stack: ExitStack) -> str:
    # Not below our folder, which is closed to the user as whom the server runs.
    server = Postgres(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="postgres-"))))
    server.start()
    stack.callback(server.stop)
    return server.url()


@dataclass(frozen=True)
class Fault:
    """Something that breaks and is mended after `away` seconds, at random between these.

    `part` is what it breaks; a part is broken once at a time. `weight` is how often it is chosen.
    """

    part: str
    weight: int
    away: tuple[float, float]
    begin: Callable[[], object]
    end: Callable[[], object]


def _faults(run: FaultRun, disk: SmallDisk | None) -> list[Fault]:
    faults = [
        Fault("bot", 4, (0.0, 6.0), run.kill_bot, run.start_bot),
        Fault("bot", 2, (0.0, 6.0), run.end_bot, run.start_bot),
        Fault("server", 3, (1.0, 12.0), run.kill_server, run.start_server),
        Fault("chat", 2, (1.0, 20.0), run.kill_chat, run.chat.start),
        Fault("chat", 2, (30.0, 60.0), run.kill_chat, run.chat.start),
        Fault("chat", 2, (1.0, 20.0), run.cut_chat, run.chat.proxy.mend),
        Fault("fallback", 1, (5.0, 20.0), run.break_fallback, run.fallback.mend),
    ]
    if run.chat.has_nicks:
        faults.append(Fault("bot", 2, (3.0, 15.0), run.take_nick, run.chat.free_nick))
    if disk is not None:
        faults.append(Fault("disk", 2, (10.0, 10.0), lambda: run.fill(disk), lambda: run.free(disk)))
    return faults


class Dice:
    """Breaks one part after another, and mends each after a while."""

    def __init__(self, faults: list[Fault], chance: random.Random) -> None:
        self._faults = faults
        self._chance = chance
        self._broken: dict[str, tuple[float, Fault]] = {}
        self._next = time.monotonic() + chance.uniform(*BETWEEN)

    def __call__(self, _passed: float) -> None:
        now = time.monotonic()
        for part, (until, fault) in list(self._broken.items()):
            if until <= now:
                del self._broken[part]
                fault.end()
        if now < self._next:
            return
        self._next = now + self._chance.uniform(*BETWEEN)
        (fault,) = self._chance.choices(self._faults, [each.weight for each in self._faults])
        if fault.part not in self._broken:
            fault.begin()
            self._broken[fault.part] = (now + self._chance.uniform(*fault.away), fault)

    def heal(self) -> None:
        """Everything is mended."""
        for part in sorted(self._broken):
            self._broken[part][1].end()
        self._broken.clear()


if __name__ == "__main__":
    main()
