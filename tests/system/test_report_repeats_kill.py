"""The counts of repeated errors outlive `kill -9`: read back at the next start, reported once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from errbot_sentry.reporting.deliver.repeat_journal import FILE
from tests.fakes.ingest_server import Behaviour, IngestServer
from tests.system.conftest import Make
from tests.waiting import until

ROOT = Path(__file__).parents[2]
CHILD = """
import logging, sys
from pathlib import Path
from errbot_sentry.config.secrets import Secret
from errbot_sentry.config.settings import ReportSettings
from errbot_sentry.reporting.collect.bot_context import BotFacts
from errbot_sentry.reporting.reporter import Reporter
reporter = Reporter(ReportSettings(enabled=True, dsn=Secret(sys.argv[1])), BotFacts("test", "6.2.1"), Path(sys.argv[2]))
assert reporter.start()
log = logging.getLogger("some.plugin")
def one():
    raise ValueError("password=hunter2 does not fit")
def other():
    raise KeyError("other")
for line in sys.stdin:
    for fail in (one, other):
        for _ in range(int(line)):
            try:
                fail()
            except Exception:
                log.exception("it went wrong")
    print("done", flush=True)
"""


@contextmanager
def storm(server: IngestServer, folder: Path, *times: int) -> Iterator[subprocess.Popen[str]]:
    """A process in which each of two errors came so often."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, server.dsn, str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "plugins" / "sentry_reporter")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdin is not None
    try:
        for count in times:
            child.stdin.write(f"{count}\n")
            child.stdin.flush()
            assert child.stdout.readline().strip() == "done"
        yield child
    finally:
        child.kill()
        child.wait(10)
        child.stdin.close()
        child.stdout.close()


def on_disk(folder: Path) -> dict[str, int]:
    """The last count of each window on the disk."""
    files = list(folder.rglob(FILE))
    lines = [line for file in files for line in file.read_text().splitlines() if line]
    return {each["id"]: each["n"] for each in map(json.loads, lines)}


def counts(server: IngestServer) -> dict[str, list[int]]:
    """What the server was told of each error: how many each of its events stands for, but for itself."""
    found: dict[str, list[int]] = {}
    for event in {event["event_id"]: event for event in server.events()}.values():
        kind = event["exception"]["values"][-1]["type"]
        found.setdefault(kind, []).append(event["contexts"].get("repeats", {}).get("count", 0))
    return found


def wait_until_sent(reporter: Any) -> None:
    until(lambda: reporter.status().spooled == 0, timeout=20, what="what the dead process left")


def test_counts_outlive_a_kill_and_are_reported_once(started: Make, server: IngestServer, tmp_path: Path) -> None:
    with storm(server, tmp_path, 5, 45) as child:
        until(lambda: sorted(on_disk(tmp_path).values()) == [49, 49], what=lambda: f"counts, are {on_disk(tmp_path)}")
        child.send_signal(signal.SIGKILL)
        child.wait(10)
    assert not any("hunter2" in file.read_text() for file in tmp_path.rglob(FILE))
    for _ in range(3):
        reporter = started()
        until(lambda: sum(map(len, counts(server).values())) >= 4, timeout=20, what="the counts")
        wait_until_sent(reporter)
        reporter.close(5)
    assert {kind: sorted(found) for kind, found in counts(server).items()} == {
        "ValueError": [0, 49],
        "KeyError": [0, 49],
    }
    event = next(each for each in server.events() if each["contexts"].get("repeats"))
    assert event["exception"]["values"][-1]["stacktrace"]["frames"][-1]["function"] in ("one", "other")


def test_a_kill_before_the_server_has_the_count_repeats_nothing(
    started: Make, server: IngestServer, tmp_path: Path
) -> None:
    """The envelope with the count waits in the spool: it is sent, and the count not once more."""
    with storm(server, tmp_path, 50) as child:
        until(lambda: sorted(on_disk(tmp_path).values()) == [49, 49], what=lambda: f"counts, are {on_disk(tmp_path)}")
        child.send_signal(signal.SIGKILL)
        child.wait(10)
    server.behaviour = Behaviour(status=500)
    with storm(server, tmp_path, 1) as child:  # takes the counts over, and its spool has them
        until(lambda: set(on_disk(tmp_path).values()) <= {0}, what=lambda: f"no counts, are {on_disk(tmp_path)}")
        child.send_signal(signal.SIGKILL)
        child.wait(10)
    server.behaviour = Behaviour()
    wait_until_sent(started())
    assert {kind: sorted(found) for kind, found in counts(server).items()} == {
        "ValueError": [0, 0, 49],
        "KeyError": [0, 0, 49],
    }


@pytest.mark.parametrize("text", ["", "{", '{"id": "a", "n": 3}\n{"id": "b", "n', '{"id": 7, "n": "x"}\n[]\n\0'])
def test_a_file_that_is_cut_short_is_read_as_far_as_it_goes(
    started: Make, server: IngestServer, tmp_path: Path, text: str
) -> None:
    first = started()
    (folder,) = (file.parent for file in tmp_path.rglob(FILE))
    first.close(5)
    (folder / FILE).write_text(text)
    reporter = started()
    wait_until_sent(reporter)
    expected = [{"count": 3}] if '"n": 3' in text else []
    until(lambda: len(server.events()) == len(expected), what="the count")
    assert [event["contexts"]["repeats"]["count"] for event in server.events()] == [each["count"] for each in expected]
