"""Kill the bot, the chat server and the error server at random moments under load, then check that everything adds up.

    python -m benchmarks.alerts_faults [SECONDS] [SEED]

Real Errbot, real ngircd, real Bugsink; see tests/alerting/faults.py for the load and for what must add up.
"""

from __future__ import annotations

import logging
import random
import sys
import tempfile
import time
from pathlib import Path

from demo import environments
from demo.bugsink import Bugsink
from tests.alerting.faults import FaultRun
from tests.servers.ngircd import Ngircd

SECONDS, SEED = 300.0, 7
# Seconds between two faults, and for how long each stays away, at random between these.
BETWEEN = (5.0, 20.0)
AWAY = {"bot": (0.0, 6.0), "server": (1.0, 12.0), "chat": (1.0, 20.0)}


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else SEED
    logging.getLogger("errbot_sentry.store.database").setLevel(logging.ERROR)  # we look into the running bot's state
    python = environments.build(environments.BUGSINK)
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        (folder / "irc").mkdir()
        with Bugsink(folder / "bugsink", python) as server, Ngircd(folder / "irc") as ircd:
            run = FaultRun(folder, server, ircd, random.Random(seed))
            dice = Dice(run, random.Random(seed))
            with run.running():
                run.load(seconds, dice)
                dice.heal()
                run.come_to_rest()
                report = run.report()
    print(f"{seconds:g} s, seed {seed}")
    for line in report.lines():
        print(line)
    report.check()
    print("everything adds up")


class Dice:
    """Kills one part after another, and starts each again after a while."""

    def __init__(self, run: FaultRun, chance: random.Random) -> None:
        self._chance = chance
        self._kill = {"bot": run.kill_bot, "server": run.kill_server, "chat": run.kill_chat}
        self._start = {"bot": run.start_bot, "server": run.start_server, "chat": run.start_chat}
        self._back: dict[str, float] = {}
        self._next = time.monotonic() + chance.uniform(*BETWEEN)

    def __call__(self, _passed: float) -> None:
        now = time.monotonic()
        for part in [part for part, at in self._back.items() if at <= now]:
            del self._back[part]
            self._start[part]()
        if now < self._next:
            return
        self._next = now + self._chance.uniform(*BETWEEN)
        part = self._chance.choices(("bot", "server", "chat"), (5, 3, 2))[0]
        if part not in self._back:
            self._kill[part]()
            self._back[part] = now + self._chance.uniform(*AWAY[part])

    def heal(self) -> None:
        """Everything is started again."""
        for part in sorted(self._back):
            self._start[part]()
        self._back.clear()


if __name__ == "__main__":
    main()
