"""The reporter's life beside a real sentry-sdk: start, stop, again; one client; the operator's own options."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk import serializer

from errbot_sentry.domain.conversation import Person
from errbot_sentry.reporting.collect.event_processor import EventProcessor
from errbot_sentry.reporting.collect.log_handler import ErrorCapture
from tests.clocks import ShiftedClock
from tests.fakes.ingest_server import IngestServer, ingest_server
from tests.system.conftest import Make, crash, fail, log
from tests.system.report_bot import wait_until_sent
from tests.waiting import until


def traces() -> tuple[int, int, bool, list[str]]:
    """What a reporter could leave behind: handlers, repr processors, a client, threads."""
    threads = sorted(thread.name for thread in threading.enumerate() if "sentry" in thread.name.lower())
    return (
        len(logging.getLogger().handlers),
        len(serializer.global_repr_processors),
        sentry_sdk.get_client().is_active(),
        threads,
    )


def test_ten_lives_leave_nothing(make: Make, server: IngestServer) -> None:
    reporter = make(repeat_seconds=0)
    before = traces()
    for number in range(10):
        assert reporter.start()
        crash(f"life {number}")
        reporter.close(5)
    until(lambda: traces() == before, what=lambda: f"{before}, is {traces()}")
    assert len(server.events()) == 10
    assert reporter.status().captured == reporter.status().sent == 10


def test_starting_twice_is_starting_once(make: Make, server: IngestServer) -> None:
    reporter = make()
    assert reporter.start()
    assert reporter.start()
    crash()
    wait_until_sent(reporter)
    assert len(server.events()) == 1


def test_a_start_while_another_thread_closes_waits_for_its_end(
    make: Make, server: IngestServer, tmp_path: Path
) -> None:
    """Else the new life could not take over what the old one leaves in its folder."""
    begun, may_end = threading.Event(), threading.Event()

    def slow(event: Any, _hint: Any) -> Any:
        begun.set()
        may_end.wait(30)
        return event

    reporter = make(options={"before_send": slow}, repeat_seconds=0)
    assert reporter.start()
    capturing = threading.Thread(target=crash)
    capturing.start()
    assert begun.wait(10)
    closing = threading.Thread(target=reporter.close, args=(20,))
    closing.start()
    until(lambda: not reporter.status().running, what="a close that has begun")
    starting = threading.Thread(target=reporter.start)
    starting.start()
    starting.join(0.1)
    may_end.set()
    for thread in (capturing, closing, starting):
        thread.join(30)
    crash("in the next life")
    wait_until_sent(reporter)
    assert [folder.name for folder in tmp_path.glob("sentry_spool/*/*")] == ["0"]
    assert len(server.events()) == 2


def test_switched_off_everything_is_a_no_op(make: Make, server: IngestServer) -> None:
    before = traces()
    reporter = make(enabled=False)
    assert reporter.start() is False
    crash()
    reporter.set_tag("a", "b")
    with reporter.transaction("op", "name"), reporter.span("op", "name"):
        assert reporter.capture_exception(ValueError("x")) is None
    assert reporter.capture_message("x") is None
    assert reporter.capture_canary() is None
    assert reporter.feedback(Person("bob", "Bob"), "words") is None
    wait_until_sent(reporter)
    reporter.close(1)
    assert traces() == before
    assert reporter.status().running is False
    assert server.requests == 0


def test_a_client_that_was_there_before_is_replaced(make: Make, server: IngestServer) -> None:
    with ingest_server() as other:
        sentry_sdk.init(dsn=other.dsn, environment="theirs")
        old = sentry_sdk.get_client()
        reporter = make()
        assert reporter.start()
        assert sentry_sdk.get_client() is not old
        crash()
        wait_until_sent(reporter)
        assert len(server.events()) == 1
        assert other.events() == []


def test_events_of_the_replaced_client_still_leave(make: Make) -> None:
    with ingest_server() as other:
        sentry_sdk.init(dsn=other.dsn)
        sentry_sdk.capture_message("before us", level="error")
        assert make().start()
        until(lambda: len(other.events()) == 1, what="the event that was captured before")


def test_another_init_after_ours_is_noticed(make: Make) -> None:
    reporter = make()
    assert reporter.start()
    sentry_sdk.init()
    assert any("sentry_sdk.init" in note for note in reporter.status().notes)
    sentry_sdk.get_global_scope().set_client(None)


def test_the_operators_options_are_honoured(make: Make, server: IngestServer) -> None:
    def before_send(event: Any, hint: Any) -> Any:
        if "unwanted" in event["exception"]["values"][-1]["value"]:
            return None
        event["tags"]["seen.by"] = "operator"
        return event

    reporter = make(options={"release": "bot@1", "environment": "lab", "before_send": before_send, "server_name": "n1"})
    assert reporter.start()
    crash("wanted")
    try:
        fail(LookupError("unwanted"))
    except LookupError:
        log.exception("again")
    wait_until_sent(reporter)
    (event,) = server.events()
    assert (event["release"], event["environment"], event["server_name"]) == ("bot@1", "lab", "n1")
    assert event["tags"]["seen.by"] == "operator"
    assert reporter.status().dropped == {"before_send": 1}


def test_the_operators_hook_sees_only_scrubbed_events(make: Make) -> None:
    seen: list[Any] = []

    def before_send(event: Any, hint: Any) -> Any:
        seen.append(event)
        return event

    assert make(options={"before_send": before_send}).start()
    crash("the key is sntrys_0123456789abcdef")
    assert "sntrys_" not in repr(seen[0])


def test_a_failing_hook_of_the_operator_harms_nothing(make: Make, server: IngestServer) -> None:
    def before_send(event: Any, hint: Any) -> Any:
        raise RuntimeError("their bug")

    reporter = make(options={"before_send": before_send})
    assert reporter.start()
    crash()
    wait_until_sent(reporter)
    assert server.requests == 0
    assert reporter.status().dropped == {"before_send": 1}


def test_a_wrong_option_is_noted_and_leaves_nothing(make: Make) -> None:
    before = traces()
    reporter = make(options={"no_such_option": 1})
    assert reporter.start() is False
    assert any("no_such_option" in note for note in reporter.status().notes)
    assert traces() == before


def test_the_operators_own_transport_is_used(make: Make, server: IngestServer) -> None:
    taken: list[Any] = []

    class Own(sentry_sdk.transport.Transport):
        def capture_envelope(self, envelope: Any) -> None:
            taken.append(envelope)

    reporter = make(options={"transport": Own})
    assert reporter.start()
    crash()
    assert len(taken) == 1
    assert server.requests == 0
    assert any("transport" in note for note in reporter.status().notes)
    reporter.close(1)


def test_a_transport_that_is_shared_with_the_replaced_client_lives_on(make: Make) -> None:
    taken: list[Any] = []

    class Own(sentry_sdk.transport.Transport):
        killed = False

        def capture_envelope(self, envelope: Any) -> None:
            taken.append(envelope)

        def kill(self) -> None:
            self.killed = True

    own = Own()
    sentry_sdk.init(dsn="http://key@127.0.0.1:1/1", transport=own)
    assert make(options={"transport": own}).start()
    assert own.killed is False
    crash()
    assert len(taken) == 1


def test_an_event_that_cannot_be_completed_leaves_with_its_type_only(
    make: Make, server: IngestServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*args: Any) -> Any:
        raise RuntimeError("a bug of ours")

    reporter = make(repeat_seconds=0)
    assert reporter.start()
    monkeypatch.setattr(EventProcessor, "enrich", broken)
    crash("PRIVATE")
    crash("PRIVATE")
    wait_until_sent(reporter)
    first, _second = server.events()
    assert first["exception"]["values"] == [{"type": "ValueError", "value": "[chat]"}]
    assert b"PRIVATE" not in server.bytes()
    assert caplog.text.count("could not be completed") == 1


def test_our_own_loggers_are_never_reported(make: Make, server: IngestServer) -> None:
    reporter = make()
    assert reporter.start()
    for name in ("errbot_sentry.reporting.deliver.envelope_sender", "sentry_sdk.errors", "urllib3.connectionpool"):
        try:
            fail(ValueError(name))
        except ValueError:
            logging.getLogger(name).exception("inside")
    crash("outside")
    wait_until_sent(reporter)
    (event,) = server.events()
    assert "inside" not in repr(event["breadcrumbs"])


def test_an_object_that_fails_to_print_harms_nothing(
    make: Make, server: IngestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hostile:
        def __repr__(self) -> str:
            log.error("logging while being printed")
            raise RuntimeError("no repr")

        __str__ = __repr__

    reporter = make(repeat_seconds=0)
    assert reporter.start()
    root = logging.getLogger()  # pytest's own handlers let such errors through, and would print the object too
    monkeypatch.setattr(root, "handlers", [one for one in root.handlers if type(one).__name__ == "ErrorLogHandler"])
    hostile = Hostile()
    try:
        fail(ValueError(hostile))
    except ValueError:
        log.exception("with %s", hostile)
    log.error("and %s", hostile)
    wait_until_sent(reporter)
    sentences = [event["logentry"]["message"] for event in server.events() if "exception" not in event]
    # What it logs follows what it was printed for, and what it logs when that is printed would go on for ever.
    assert sentences.count("and %s") == 1
    assert 1 <= sentences.count("logging while being printed") < 10
    assert len(server.events()) == len(sentences) + 1


def test_the_canarys_event_is_of_one_issue_of_this_bot(make: Make, server: IngestServer) -> None:
    reporter = make()
    assert reporter.start()
    event_id = reporter.capture_canary()
    assert event_id is not None
    wait_until_sent(reporter)
    (event,) = server.events()
    assert event["event_id"] == event_id
    assert event["fingerprint"] == ["sentry-reporter-canary", ""]
    assert event["tags"]["sentry_reporter.canary"] == "yes"
    until(lambda: reporter.unsent_reason(event_id) is None, 60, "the confirmation")


def test_status_shows_no_key(make: Make, server: IngestServer) -> None:
    reporter = make()
    assert reporter.start()
    crash()
    wait_until_sent(reporter)
    status = reporter.status()
    assert (status.captured, status.sent, status.spooled) == (1, 1, 0)
    assert status.last_sent is not None
    assert status.last_failure == ""
    assert "0123456789abcdef" not in repr(status)


def test_an_exception_that_is_stored_and_raised_again_is_a_new_error(make: Make, server: IngestServer) -> None:
    """Some programs make the object once and raise it for every request; its first report must not be its last."""
    clock = ShiftedClock()
    reporter = make(clock=clock, repeat_seconds=0)
    assert reporter.start()
    stored = ValueError("stored")
    for _ in range(2):  # logged by the plugin and again by Errbot: one
        try:
            fail(stored)
        except ValueError:
            log.exception("it went wrong")
    wait_until_sent(reporter)
    assert len(server.events()) == 1
    clock.ahead = 3600.0
    try:
        fail(stored)
    except ValueError:
        log.exception("it went wrong")
    wait_until_sent(reporter)
    assert len(server.events()) == 2


def _crash_at(position: int) -> None:
    """An error with a code position of its own."""
    code = compile("\n" * position + "raise ValueError('somewhere')", f"generated_{position}.py", "exec")
    try:
        exec(code, {})
    except ValueError:
        log.exception("it went wrong")


def test_a_close_with_a_thousand_counts_is_bounded_and_reports_them_all(
    make: Make, server: IngestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However slow reporting is: here each takes a hundredth of the time that there is."""
    reporter = make(repeat_seconds=600)
    assert reporter.start()
    for number in range(300):
        _crash_at(number)
        _crash_at(number)
        _crash_at(number)
    repeated = reporter.status().repeated
    assert repeated > 590  # Python 3.11 moves a position when it has seen a line often enough
    real = ErrorCapture.capture_count
    counts = []

    def slow(self: ErrorCapture, count: Any) -> None:
        counts.append(count)
        threading.Event().wait(0.05)
        real(self, count)

    monkeypatch.setattr(ErrorCapture, "capture_count", slow)
    reporter.close(5)
    assert len(counts) < 100
    assert sum(one.count for one in counts) == repeated
    again = make()
    assert again.start()
    until(lambda: again.status().spooled == 0, 60, what="the rest of the first life")
    reported = [int(event["tags"]["repeated"]) for event in server.events() if "repeated" in event.get("tags", {})]
    assert sum(reported) == repeated


class Unreadable:
    """A value whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_what_other_plugins_pass_raises_nothing(make: Make, server: IngestServer, caplog: Any) -> None:
    reporter = make()
    assert reporter.start()
    reporter.set_tag("bad", Unreadable())
    reporter.set_tags("no dict")
    reporter.set_tags({"good": "yes", "bad": Unreadable()})
    with reporter.transaction(Unreadable(), Unreadable()), reporter.span(Unreadable(), Unreadable()):
        assert reporter.capture_exception("no exception") is None
    assert reporter.capture_message(Unreadable()) is None
    assert reporter.capture_exception(ValueError("x"), bad=Unreadable(), fine="yes") is not None
    wait_until_sent(reporter)
    (event,) = server.events()
    assert (event["tags"]["good"], event["tags"]["fine"]) == ("yes", "yes")
    assert "bad" not in event["tags"]
    assert "cannot be read" in caplog.text


def test_the_body_of_a_span_that_fails_is_the_callers(make: Make) -> None:
    reporter = make(options={"traces_sample_rate": 1.0})
    assert reporter.start()
    with pytest.raises(ValueError, match="mine"), reporter.transaction("op", "name"), reporter.span("op", "name"):
        raise ValueError("mine")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_odd_errors_are_events_like_others(make: Make, server: IngestServer) -> None:
    """A recursion without end, a huge text, no memory, a repr that fails: one event each, bounded; the bot lives on."""

    class Evil:
        def __repr__(self) -> str:
            raise RuntimeError("no repr")

    class Huge(Exception):
        def __str__(self) -> str:
            return "x" * 50_000_000

    def recurse(depth: int) -> int:
        return recurse(depth + 1) + 1

    def with_locals(error: Exception) -> None:
        evil, rows, text = Evil(), [Evil()] * 1000, "y" * 10_000_000  # noqa: F841 - they are the point
        raise error

    reporter = make(repeat_seconds=0)
    assert reporter.start()
    for raising in (
        lambda: recurse(0),
        lambda: with_locals(Huge()),
        lambda: with_locals(MemoryError()),
        lambda: with_locals(ValueError(Evil())),
    ):
        try:
            raising()
        except Exception as error:  # noqa: BLE001 - all of them
            reporter.capture_exception(error)
    wait_until_sent(reporter)
    types = [event["exception"]["values"][-1]["type"] for event in server.events()]
    types = [name.rpartition(".")[2] for name in types]
    assert types == ["RecursionError", "Huge", "MemoryError", "ValueError"]
    assert max(len(taken.raw) for taken in server.taken) < 1_000_000


def test_logging_at_the_very_end_of_the_stack(make: Make, server: IngestServer) -> None:
    """A plugin that catches its RecursionError where it is raised: our own calls have no room there either."""
    reporter = make()
    assert reporter.start()

    def recurse() -> int:
        try:
            return recurse() + 1
        except RecursionError as error:
            reporter.capture_exception(error)
            raise

    with pytest.raises(RecursionError):
        recurse()
    crash("and after it")
    wait_until_sent(reporter)
    assert "and after it" in [event["exception"]["values"][-1]["value"] for event in server.events()]
