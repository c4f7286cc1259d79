"""Finalisers that log while a thread is anywhere inside the package: reporting neither stands still nor loses them.

The interpreter may run a `__del__` between any two instructions. Here it does so on purpose, at every line that this
package runs while it has a lock of its own.
"""

from __future__ import annotations

import faulthandler
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import sentry_sdk

import errbot_sentry
from errbot_sentry.config.secrets import Secret
from errbot_sentry.config.settings import ReportSettings
from errbot_sentry.reporting.collect.bot_context import BotFacts
from errbot_sentry.reporting.reporter import Reporter
from tests.fakes.ingest_server import IngestServer, ingest_server
from tests.system.conftest import crash, log
from tests.waiting import until

PACKAGE = str(Path(errbot_sentry.__file__).parent)
WATCHDOG_SECONDS = 240.0


class Finalised:
    """A cycle, so that only the garbage collector can end it; what it does at its end is up to the test."""

    def __init__(self, at_the_end: Callable[[], object]) -> None:
        self.itself = self
        self.at_the_end = at_the_end

    def __del__(self) -> None:
        self.at_the_end()


class EveryLine:
    """Collects garbage, with one finaliser in it, at lines of the package, once for each line in each thread."""

    def __init__(self, at_the_end: Callable[[], object]) -> None:
        self._at_the_end = at_the_end
        self._seen: set[tuple[int, str, int]] = set()
        self._busy = threading.local()
        self.collected = 0

    def trace(self, frame: FrameType, event: str, _arg: object) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        place = (threading.get_ident(), frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and place not in self._seen and not getattr(self._busy, "now", False):
            self._seen.add(place)
            self._busy.now = True
            try:
                Finalised(self._at_the_end)
                gc.collect(0)
                self.collected += 1
            finally:
                self._busy.now = False
        return self.trace

    def __enter__(self) -> EveryLine:
        gc.collect()
        gc.freeze()  # what the tests before have left would make each collection slow
        threading.settrace(self.trace)
        sys.settrace(self.trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)
        threading.settrace(None)
        gc.unfreeze()


def within(seconds: float, run_all: Callable[[], object]) -> None:
    """Run it in a thread of its own; a deadlock is a failure that shows all stacks, not a test that hangs."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            run_all()
        except BaseException as error:  # noqa: BLE001 - raised in the test's own thread
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        faulthandler.dump_traceback()
        pytest.fail(f"not done after {seconds:g} s: a thread waits for itself")
    if failures:
        raise failures[0]


@pytest.fixture
def server() -> Iterator[IngestServer]:
    with ingest_server() as server:
        yield server


def reporter_for(server: IngestServer, folder: Path, **more: Any) -> Reporter:
    settings = ReportSettings(**{"enabled": True, "dsn": Secret(server.dsn), "repeat_seconds": 0, **more})
    return Reporter(settings, BotFacts("test", "6.2.1"), folder)


def log_an_error(_reporter: Reporter) -> None:
    log.error("a finaliser says so")


def capture_by_the_sdk(_reporter: Reporter) -> None:
    sentry_sdk.capture_message("a finaliser says so", "error")


def capture_as_plugins_do(reporter: Reporter) -> None:
    reporter.capture_message("a finaliser says so", "error")
    reporter.set_tag("finalised", "yes")
    reporter.status()


@pytest.mark.parametrize("repeat_seconds", [0, 3600])
@pytest.mark.parametrize("at_the_end", [log_an_error, capture_by_the_sdk, capture_as_plugins_do])
def test_a_finaliser_that_reports_at_any_line_stops_nothing(
    server: IngestServer, tmp_path: Path, at_the_end: Callable[[Reporter], None], repeat_seconds: int
) -> None:
    reporter = reporter_for(server, tmp_path, repeat_seconds=repeat_seconds)
    lines = EveryLine(lambda: at_the_end(reporter))

    def life() -> None:
        with lines:
            assert reporter.start()
            for number in range(3):
                crash(f"number {number}")
                crash("the same")
            reporter.status()
            until(lambda: reporter.status().spooled == 0, timeout=100, what="everything sent")
        crash("the last one")
        until(lambda: reporter.status().spooled == 0, timeout=100, what="everything sent")
        reporter.close(5)

    within(WATCHDOG_SECONDS, life)
    assert lines.collected > 100
    sent = server.events()
    values = [event["exception"]["values"][-1]["value"] for event in sent if "exception" in event]
    assert {"number 0", "the last one"} <= set(values) if repeat_seconds == 0 else values
    assert any("a finaliser says so" in str(event.get("logentry", event.get("message"))) for event in sent)
