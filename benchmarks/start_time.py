"""What the plugin adds to the bot's start: from the process's first moment to "Plugin activation done".

    python -m benchmarks.start_time [ROUNDS]

A real Errbot on the Text backend, a fresh process each time: with and without the plugin, without settings and with all
three flows on. The floor of the second pair has Errbot's own Sentry switch on, whose part of the start is Errbot's. The
arms take turns, medians are compared, and the end is read from the times in Errbot's log. The state is there from
a warm-up start, as it is on every start but a bot's first. The goal is 0.3 s.
"""

from __future__ import annotations

import logging
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from datetime import datetime
from pathlib import Path

from demo.processes import free_port
from tests.servers.errbot_process import ACTIVATED, ErrbotProcess

ROOT = Path(__file__).resolve().parent.parent
GOAL_SECONDS = 0.3


def reporting() -> dict[str, object]:
    """What Errbot itself reads, too."""
    return {
        "BOT_LOG_SENTRY": True,
        "SENTRY_LOGLEVEL": logging.INFO,
        "SENTRY_EVENTLEVEL": logging.ERROR,
        "SENTRY_DSN": f"http://0123456789abcdef0123456789abcdef@127.0.0.1:{free_port()}/1",
    }


def all_flows() -> dict[str, object]:
    """Reporting, a server and alerts, at addresses where nobody answers: the start may not wait for them."""
    return {
        **reporting(),
        "SENTRY_URL": f"http://127.0.0.1:{free_port()}",
        "SENTRY_SERVER": "sentry",
        "SENTRY_AUTH_TOKEN": "sntryu_of_the_benchmark",
        "SENTRY_ORG": "acme",
        "SENTRY_WEBHOOK_SECRET": "secret-of-the-benchmark",
        "SENTRY_WEBHOOK_LISTEN": ("127.0.0.1", free_port()),
        "SENTRY_ALERTS": [{"rooms": ["#ops"]}],
    }


def start_seconds(bot: ErrbotProcess) -> float:
    """One start, and an orderly end."""
    before = len(bot.log)
    begun = time.time()
    bot.start(wait=False)
    line = bot.wait_for_log(rf"^(\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d[,.]\d{{3}}).*{ACTIVATED}", 90, after=before)
    ended = datetime.fromisoformat(line[1].replace(",", ".")).timestamp()
    bot.stop()
    return ended - begun


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    with tempfile.TemporaryDirectory() as folder:
        none = Path(folder) / "none"
        none.mkdir()
        plugin = ROOT / "plugins" / "sentry_reporter"
        pairs = {
            "no settings": (ErrbotProcess(Path(folder) / "0", none), ErrbotProcess(Path(folder) / "1", plugin)),
            "all three flows": (
                ErrbotProcess(Path(folder) / "2", none, reporting()),
                ErrbotProcess(Path(folder) / "3", plugin, all_flows()),
            ),
        }
        took: dict[str, list[list[float]]] = defaultdict(list)
        for turn in range(rounds + 1):
            for name, bots in pairs.items():
                seconds = [start_seconds(bot) for bot in bots]
                if turn:
                    took[name].append(seconds)
    for name, starts in took.items():
        without, plugged = (statistics.median(column) for column in zip(*starts, strict=True))
        print(f"{name:16} {without:.3f} s without the plugin, {plugged:.3f} s with it: adds {plugged - without:.3f} s")
    print(f"goal: adds at most {GOAL_SECONDS} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
