"""Processes that a plugin forks: what fails in the child is reported too, however the child ends."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from errbot_sentry.config.secrets import Secret
from errbot_sentry.config.settings import ReportSettings
from errbot_sentry.reporting.collect.bot_context import BotFacts
from errbot_sentry.reporting.follow_ups import ReportedError
from errbot_sentry.reporting.reporter import Reporter
from tests.fakes.ingest_server import IngestServer
from tests.system.conftest import Make, crash, values
from tests.system.report_bot import wait_until_sent
from tests.waiting import until

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
]


def ended(child: Any) -> int:
    child.join(60)
    if child.is_alive():
        child.kill()
        pytest.fail("the child does not end")
    return int(child.exitcode)


@pytest.mark.parametrize("spool_mb", [10, 0])
def test_a_child_of_multiprocessing(started: Make, server: IngestServer, spool_mb: int) -> None:
    reporter = started(spool_mb=spool_mb)
    crash("in the parent, before")  # so that there is a connection that the child must not use
    until(lambda: "in the parent, before" in values(server), what="the first one")
    began = time.monotonic()
    child = multiprocessing.get_context("fork").Process(target=crash, args=("in the child",))
    child.start()
    assert ended(child) == 0
    until(lambda: "in the child" in values(server), timeout=30, what=lambda: str(values(server)))
    assert time.monotonic() - began < 30
    crash("in the parent, after")
    wait_until_sent(reporter)
    assert sorted(values(server)) == ["in the child", "in the parent, before"]  # the third only repeats the first


def test_what_the_parent_has_seen_is_new_in_the_child(started: Make, server: IngestServer) -> None:
    """Only the parent can report what it counts, and the child may end before it reports what it has counted."""
    started(repeat_seconds=3600)
    crash("here")
    child = multiprocessing.get_context("fork").Process(target=crash, args=("there",))
    child.start()
    assert ended(child) == 0
    until(lambda: sorted(values(server)) == ["here", "there"], timeout=30, what=lambda: str(values(server)))


@pytest.mark.parametrize("end", [lambda: os._exit(0), lambda: os.kill(os.getpid(), signal.SIGKILL)])
def test_a_child_that_ends_at_once(started: Make, server: IngestServer, end: Callable[[], None]) -> None:
    """Its event is on disk when the capture returns, and the parent sends what a child has left."""
    started()
    server.stop()
    child = os.fork()
    if not child:
        crash("last words")
        end()
        os._exit(1)
    os.waitpid(child, 0)
    server.resume()
    until(lambda: values(server) == ["last words"], timeout=40, what="what the child has left")


def test_children_while_threads_report(started: Make, server: IngestServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fork meets locks that other threads have; they are free in the child."""
    reporter = started(repeat_seconds=0, spool_mb=50)
    root = logging.getLogger()  # pytest's own handlers write to files, whose locks Python leaves as the fork met them
    monkeypatch.setattr(root, "handlers", [one for one in root.handlers if type(one).__name__ == "ErrorLogHandler"])
    over = threading.Event()

    def hammer() -> None:
        while not over.is_set():
            crash("in a thread")

    threads = [threading.Thread(target=hammer) for _ in range(3)]
    for thread in threads:
        thread.start()
    context = multiprocessing.get_context("fork")
    try:
        for number in range(10):
            child = context.Process(target=crash, args=(f"child {number}",))
            child.start()
            assert ended(child) == 0
    finally:
        over.set()
        for thread in threads:
            thread.join(60)
    wanted = {f"child {number}" for number in range(10)}
    until(lambda: wanted <= set(values(server)), timeout=60, what=lambda: str(wanted - set(values(server))))
    until(lambda: reporter.status().spooled == 0, timeout=60, what="the parent's own")
    assert reporter.status().dropped == {}


def test_a_child_that_lives_on_holds_nothing_of_a_parent_that_died(
    started: Make, server: IngestServer, tmp_path: Path
) -> None:
    """The lock on the parent's slot ends with the parent: its next life sends what waits there."""
    server.stop()
    reading, writing = os.pipe()
    bot = os.fork()
    if not bot:
        reporter = Reporter(ReportSettings(enabled=True, dsn=Secret(server.dsn)), BotFacts("test", "6.2.1"), tmp_path)
        reporter.start()
        crash("before the bot died")
        if not os.fork():
            os.close(writing)
            os.read(reading, 1)  # until the test is over
            os._exit(0)
        os._exit(0)
    os.waitpid(bot, 0)
    try:
        server.resume()
        started()
        until(lambda: values(server) == ["before the bot died"], timeout=90, what="what the bot has left")
    finally:
        os.close(writing)
        os.close(reading)


def test_the_child_speaks_to_nobody(started: Make, server: IngestServer, tmp_path: Path) -> None:
    """The connection to the chat network is the parent's: two that write to it would garble it."""
    from errbot_sentry.reporting.collect.bot_context import BotContext

    notified = tmp_path / "notified"

    def notify(reported: ReportedError) -> None:
        with notified.open("a") as file:
            file.write(f"{os.getpid()} {reported.event_id}\n")

    reporter = started(notify=notify)
    where = BotContext("command", person="bob", acl="bob", message="their message", command="bake")
    reporter._follow_ups.captured("a" * 32, where, 0.0, notify=True)  # the child inherits who waits to be notified
    context = multiprocessing.get_context("fork")

    def work() -> None:
        crash("in the child")
        until(lambda: reporter.status().spooled == 0, timeout=30)

    child = context.Process(target=work)
    child.start()
    assert ended(child) == 0
    until(lambda: notified.exists(), timeout=30, what="the parent telling")
    assert {int(line.split()[0]) for line in notified.read_text().splitlines()} == {os.getpid()}
