"""The fault run in short: the bot, the error server and the chat server die once each, under load.

`python -m benchmarks.alerts_faults` is the long one, at random moments.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from demo.bugsink import Bugsink
from tests.alerting.faults import FaultRun
from tests.servers.ngircd import Ngircd


def test_each_part_dies_once_and_everything_adds_up(tmp_path: Path, ngircd: Ngircd, bugsink: Bugsink) -> None:
    run = FaultRun(tmp_path, bugsink, ngircd, random.Random(1))
    plan: list[tuple[float, Callable[[], None]]] = [
        (3, run.kill_bot),
        (5, run.start_bot),
        (9, run.kill_server),
        (10, run.kill_bot),
        (10, run.start_bot),
        (13, run.start_server),
        (15, run.kill_chat),
        (15.5, run.kill_bot),  # the irc library would wait for a minute; a new bot does not
        (17, run.start_chat),
        (17, run.start_bot),
    ]

    def faults(passed: float) -> None:
        while plan and plan[0][0] <= passed:
            plan.pop(0)[1]()

    with run.running():
        run.load(20, faults, burst=3)
        while plan:
            plan.pop(0)[1]()
        run.come_to_rest()
        report = run.report()
    report.check()
    assert report.tracebacks == 0
    assert report.kills == {"the bot": 3, "the error server": 1, "the chat server": 1}
