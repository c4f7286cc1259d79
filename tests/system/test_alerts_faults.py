"""The fault run in short: each part dies once, under load; what the chat does not take goes to the fallback.

`python -m benchmarks.alerts_faults` is the long one, at random moments.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from demo.bugsink import Bugsink
from tests.alerting.fault_chat import FaultChat
from tests.alerting.faults import FaultRun
from tests.servers.ngircd import Ngircd
from tests.servers.prosody import Prosody

# slixmpp 1.8.6, the last that Errbot 6.2.1 works with, asks the resolver in its old way.
pytestmark = pytest.mark.filterwarnings("ignore:gethostbyname")


@pytest.mark.parametrize("chat_server", ["ngircd", "prosody"])
def test_each_part_dies_once_and_everything_adds_up(
    tmp_path: Path, request: pytest.FixtureRequest, chat_server: str, bugsink: Bugsink
) -> None:
    server: Ngircd | Prosody = request.getfixturevalue(chat_server)
    run = FaultRun(tmp_path, bugsink, FaultChat(server), random.Random(1), after=3.0)
    plan: list[tuple[float, Callable[[], object]]] = [
        (3, run.take_nick if run.chat.has_nicks else run.kill_bot),
        (5, run.chat.free_nick if run.chat.has_nicks else run.start_bot),
        (9, run.kill_server),
        (10, run.end_bot),
        (10, run.start_bot),
        (13, run.start_server),
        (15, run.kill_chat),
        (17, run.chat.start),
    ]

    def faults(passed: float) -> None:
        while plan and plan[0][0] <= passed:
            plan.pop(0)[1]()

    with run.running():
        run.load(20, faults, burst=3)
        while plan:
            plan.pop(0)[1]()
        run.wait_for_fallback()
        run.come_to_rest()
        report = run.report()
    report.check()
    assert report.fallback.noticed
    assert report.tracebacks == 0
    assert report.kills >= Counter(("the bot", "the bot by SIGTERM", "the error server", "the chat server"))
