"""The server fails in every way it can; nothing is lost, nothing arrives twice under another id, nothing blocks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import sentry_sdk

from errbot_sentry.reporting.reporter import Reporter
from tests.fakes.ingest_server import Behaviour, IngestServer, Taken
from tests.system import conftest
from tests.system.conftest import Make, values
from tests.system.report_bot import wait_until_sent
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]


def crash(number: int) -> None:
    conftest.crash(f"number {number}")


def numbers(count: int, first: int = 0) -> list[str]:
    return [f"number {number}" for number in range(first, first + count)]


def all_sent(reporter: Reporter) -> bool:
    return reporter.status().spooled == 0


def test_an_outage_loses_nothing_and_keeps_the_order(started: Make, server: IngestServer) -> None:
    reporter = started(repeat_seconds=0)
    server.stop()
    for number in range(50):
        crash(number)
    until(lambda: reporter.status().last_failure, what="a failure in words")
    assert "no connection" in reporter.status().last_failure
    assert reporter.status().spooled == 50
    server.resume()
    until(lambda: all_sent(reporter), timeout=30, what="everything sent")
    assert values(server) == numbers(50)
    status = reporter.status()
    assert (status.captured, status.sent, status.dropped, status.last_failure) == (50, 50, {}, "")


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (Behaviour(status=500), "HTTP 500"),
        (Behaviour(status=502), "HTTP 502"),
        (Behaviour(status=403), "SENTRY_DSN"),
        (Behaviour(status=404), "SENTRY_DSN"),
        (Behaviour(hang_up=True), "the server closed the connection"),
        (Behaviour(status=302, headers={"Location": "http://127.0.0.1:1/elsewhere"}), "HTTP 302"),
    ],
)
def test_an_answer_that_may_change_is_waited_out(
    started: Make, server: IngestServer, behaviour: Behaviour, words: str
) -> None:
    reporter = started(repeat_seconds=0)
    server.next_answers(behaviour)
    crash(1)
    until(lambda: words in reporter.status().last_failure, what=lambda: reporter.status().last_failure)
    until(lambda: all_sent(reporter), what="the second try")
    assert values(server) == numbers(1, 1)
    first, second = server.refused[0].events[0], server.taken[0].events[0]
    assert first["event_id"] == second["event_id"]
    assert reporter.status().last_failure == ""


@pytest.mark.parametrize("poison", [Behaviour(hang_up=True), Behaviour(status=500)], ids=["hangs up", "fails"])
def test_one_envelope_that_the_server_chokes_on_delays_no_other(
    started: Make, server: IngestServer, poison: Behaviour
) -> None:
    def decide(taken: Taken) -> Behaviour | None:
        return poison if any("number 0" in str(event.get("exception")) for event in taken.events) else None

    server.decide = decide
    reporter = started(repeat_seconds=0)
    for number in range(11):
        crash(number)
    until(lambda: reporter.status().spooled == 1, timeout=45, what="everything but the one")
    assert values(server) == numbers(10, 1)
    assert reporter.status().dropped == {}


@pytest.mark.parametrize(("status", "reason"), [(400, "refused_400"), (413, "too_large")])
def test_an_answer_that_will_never_change_is_counted(
    started: Make, server: IngestServer, status: int, reason: str
) -> None:
    reporter = started(repeat_seconds=0)
    server.next_answers(Behaviour(status=status))
    crash(1)
    crash(2)
    until(lambda: all_sent(reporter), what="both dealt with")
    assert values(server) == numbers(1, 2)
    assert reporter.status().dropped == {reason: 1}


def test_retry_after_is_obeyed(started: Make, server: IngestServer) -> None:
    reporter = started(repeat_seconds=0)
    server.next_answers(Behaviour(status=429, headers={"Retry-After": "1"}))
    began = time.monotonic()
    crash(1)
    until(lambda: all_sent(reporter), what="sent after the wait")
    assert time.monotonic() - began >= 1.0
    assert server.requests == 2
    assert values(server) == numbers(1, 1)


def test_a_limit_of_another_category_does_not_delay_errors(started: Make, server: IngestServer) -> None:
    reporter = started(repeat_seconds=0, options={"traces_sample_rate": 1.0})
    server.behaviour = Behaviour(headers={"X-Sentry-Rate-Limits": "86400:transaction;span:organization"})
    crash(1)
    until(lambda: all_sent(reporter), what="the first error")
    with reporter.transaction("test", "a transaction nobody wants"):
        pass
    crash(2)
    until(lambda: all_sent(reporter), what="the second error")
    assert values(server) == numbers(2, 1)
    assert server.items("transaction") == []
    assert reporter.status().dropped == {"rate_limited (transaction)": 1}


def test_other_envelopes_pass_too(started: Make, server: IngestServer) -> None:
    reporter = started(repeat_seconds=0, options={"traces_sample_rate": 1.0, "release": "bot@1"})
    server.stop()
    with reporter.transaction("job", "nightly"), reporter.span("step", "first"):
        pass
    sentry_sdk.capture_event({"type": "check_in", "check_in_id": "0" * 32, "monitor_slug": "m", "status": "ok"})
    with sentry_sdk.isolation_scope() as scope:
        scope.start_session(session_mode="application")
        scope.end_session()
    sentry_sdk.get_client().flush(0.1)
    server.resume()
    until(lambda: all_sent(reporter), timeout=20, what="everything sent")
    (transaction,) = server.items("transaction")
    assert transaction["transaction"] == "nightly"
    assert [span["description"] for span in transaction["spans"]] == ["first"]
    assert server.items("check_in")[0]["monitor_slug"] == "m"
    assert server.items("session") or server.items("sessions")
    assert reporter.status().sent == 0
    assert reporter.status().others_sent >= 3


def test_no_envelope_claims_to_be_sent_when_it_was_made(started: Make, server: IngestServer) -> None:
    reporter = started(repeat_seconds=0)
    crash(1)
    wait_until_sent(reporter)
    assert "sent_at" not in server.taken[0].header


@pytest.mark.parametrize("way", ["hanging", "unreachable"])
def test_stopping_is_quick_and_keeps_what_waits(started: Make, server: IngestServer, way: str, tmp_path: Path) -> None:
    reporter = started(repeat_seconds=0)
    if way == "hanging":
        server.behaviour = Behaviour(delay=30)
    else:
        server.stop()
    crash(1)
    until(lambda: server.requests or way == "unreachable", what="a request under way")
    began = time.monotonic()
    reporter.close(5)
    assert time.monotonic() - began < 5
    until(
        lambda: not any(thread.name == "errbot-sentry-sender" for thread in threading.enumerate()),
        what="the sender's end",
    )
    assert len(list(tmp_path.rglob("*.gz"))) == 1


def test_an_ordinary_stop_sends_what_it_can(started: Make, server: IngestServer) -> None:
    server.behaviour = Behaviour(delay=0.05)
    reporter = started(repeat_seconds=0)
    for number in range(10):
        crash(number)
    reporter.close(5)
    assert values(server) == numbers(10)


def test_without_a_spool_memory_serves(started: Make, server: IngestServer, tmp_path: Path) -> None:
    reporter = started(repeat_seconds=0, spool_mb=0)
    crash(1)
    wait_until_sent(reporter)
    assert values(server) == numbers(1, 1)
    assert not (tmp_path / "sentry_spool").exists()


def test_the_bound_is_kept_and_counted(started: Make, server: IngestServer) -> None:
    server.stop()
    reporter = started(repeat_seconds=0, spool_mb=0.05)
    for number in range(60):
        crash(number)
    status = reporter.status()
    assert status.spool_bytes <= 0.05 * 1024 * 1024
    assert status.dropped["spool_full"] + status.spooled == 60
    server.resume()
    until(lambda: all_sent(reporter), timeout=20, what="what is left")
    left = values(server)
    assert left[-1] == "number 59"
    assert len(left) + reporter.status().dropped["spool_full"] == 60


CHILD = """
import logging, os, sys
from pathlib import Path
from errbot_sentry.reporting.collect.bot_context import BotFacts
from errbot_sentry.reporting.reporter import Reporter
from errbot_sentry.config.secrets import Secret
from errbot_sentry.config.settings import ReportSettings
reporter = Reporter(
    ReportSettings(enabled=True, dsn=Secret(sys.argv[1]), repeat_seconds=0),
    BotFacts("test", "6.2.1"),
    Path(sys.argv[2]),
)
assert reporter.start()
log = logging.getLogger("some.plugin")
def fail(number):
    raise ValueError(f"number {number}")
for number in range(int(sys.argv[3])):
    try:
        fail(number)
    except ValueError:
        log.exception("it went wrong")
print("captured", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("count", [1, 40])
def test_a_killed_process_loses_nothing(
    started: Make, server: IngestServer, tmp_path: Path, ending: signal.Signals, count: int
) -> None:
    server.behaviour = Behaviour(delay=0.02)
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, server.dsn, str(tmp_path), str(count)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "plugins" / "sentry_reporter")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdin is not None
    assert child.stdout.readline().strip() == "captured"
    child.send_signal(ending)
    child.wait(10)
    child.stdin.close()
    child.stdout.close()
    reporter = started(repeat_seconds=0)
    until(lambda: all_sent(reporter), timeout=20, what="what the dead process left")
    ids = {event["event_id"] for event in server.events()}
    assert len(ids) == count
    assert sorted(set(values(server))) == sorted(numbers(count))


@pytest.mark.parametrize("status", [200, 500])
def test_an_answer_without_an_end_is_left(started: Make, server: IngestServer, status: int) -> None:
    server.next_answers(Behaviour(status, endless=True))
    reporter = started(repeat_seconds=0)
    crash(0)
    crash(1)
    until(lambda: all_sent(reporter), 60, what="both events")
    assert sorted(set(values(server))) == numbers(2)
    assert len(server.events()) == 2


def test_a_hook_that_puts_anything_into_an_event(
    started: Make, server: IngestServer, caplog: pytest.LogCaptureFixture
) -> None:
    """It runs after the serializer; such an event is counted as given up, and the next one leaves."""

    def before_send(event: Any, hint: Any) -> Any:
        if "number 0" in event["exception"]["values"][-1]["value"]:
            event["extra"] = {"odd": object()}
        return event

    reporter = started(repeat_seconds=0, options={"before_send": before_send})
    crash(0)
    crash(1)
    wait_until_sent(reporter)
    assert values(server) == numbers(1, first=1)
    assert reporter.status().dropped == {"not_json": 1}
    assert "cannot be written as JSON" in caplog.text


def test_what_was_spooled_waits_out_a_transport_of_the_operator(
    started: Make, server: IngestServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.stop()
    first = started(repeat_seconds=0)
    crash(0)
    first.close(5)
    taken: list[Any] = []

    class Own(sentry_sdk.transport.Transport):
        def capture_envelope(self, envelope: Any) -> None:
            taken.append(envelope)

    second = started(repeat_seconds=0, options={"transport": Own})
    crash(1)
    assert len(taken) == 1
    wait_until_sent(second)
    second.close(5)
    assert "unforeseen" not in caplog.text
    server.resume()
    third = started(repeat_seconds=0)
    until(lambda: all_sent(third), 60, what="the event of the first life")
    assert values(server) == numbers(1)


def test_a_disk_that_hangs_delays_neither_the_bot_nor_the_events(
    started: Make, server: IngestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = threading.Event()
    real = os.write

    def write(handle: int, data: bytes) -> int:
        gone.wait(60)
        return real(handle, data)

    reporter = started(repeat_seconds=0)
    monkeypatch.setattr(os, "write", write)
    for number in range(20):
        crash(number)
    assert any("does not answer" in note for note in reporter.status().notes)
    until(lambda: len(server.events()) == 20, 60, what="the events, out of memory")
    gone.set()
    until(lambda: all_sent(reporter), 60, what="an empty spool")
    assert values(server) == numbers(20)


def test_what_waits_for_the_server_is_made_sure_of(
    started: Make, server: IngestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the server is away the sender has time for fsync; with the server there, nothing needs it."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    server.stop()
    reporter = started(repeat_seconds=0)
    crash(0)
    until(lambda: len(synced) >= 2, 60, what="the file and its folder")
    server.resume()
    until(lambda: all_sent(reporter), 60, what="an empty spool")
    before = len(synced)
    crash(1)
    wait_until_sent(reporter)
    assert len(synced) == before
