"""Errors that fail when they are looked at, records that somebody has put together: each is an event all the same."""

from __future__ import annotations

import logging
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from errbot_sentry.config.secrets import Secret
from errbot_sentry.config.settings import ReportSettings
from errbot_sentry.reporting.collect.bot_context import BotFacts
from errbot_sentry.reporting.collect.log_handler import ErrorLogHandler
from errbot_sentry.reporting.reporter import Reporter
from tests.fakes.ingest_server import IngestServer, ingest_server
from tests.system.report_bot import wait_until_sent

log = logging.getLogger("some.plugin")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[IngestServer]:
    with ingest_server() as server:
        reporter = Reporter(ReportSettings(enabled=True, dsn=Secret(server.dsn)), BotFacts("test", "6.2.1"), tmp_path)
        assert reporter.start()
        server.flush = lambda: wait_until_sent(reporter)
        yield server
        reporter.close()


def the_event(server: IngestServer) -> Any:
    server.flush()
    (event,) = server.events()
    return event


def log_record(record: dict[str, Any]) -> None:
    """Hand a record to our handler alone: pytest's own choke on these."""
    (handler,) = [each for each in logging.getLogger().handlers if isinstance(each, ErrorLogHandler)]
    handler.handle(logging.makeLogRecord({"name": "some.plugin", "levelno": logging.ERROR, **record}))


def raised(make: Callable[[], BaseException], sentence: object = "it failed") -> None:
    error = make()
    try:
        raise error  # noqa: TRY301 - its frame is looked for
    except BaseException:  # noqa: BLE001 - whatever it is
        log_record({"msg": sentence, "exc_info": sys.exc_info()})


class Unreadable:
    def __str__(self) -> str:
        raise ValueError("it has no text")

    __repr__ = __str__


class NoDict(Exception):
    __dict__ = property(lambda self: 1 / 0)


class NoErrno(Exception):
    errno = property(lambda self: 1 / 0)


class EveryAttribute(Exception):
    def __getattr__(self, name: str) -> Any:
        return self


class Endless(Exception):
    def __getattr__(self, name: str) -> Any:
        return getattr(self, name + "_")


class NoAttribute(Exception):
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


class NoTruth(Exception):
    def __bool__(self) -> bool:
        raise ValueError("neither")


class NamelessKind(type):
    def __getattribute__(cls, name: str) -> Any:
        if name in ("__name__", "__module__", "__qualname__"):
            raise ValueError(name)
        return super().__getattribute__(name)


class Nameless(Exception, metaclass=NamelessKind):
    pass


@pytest.mark.parametrize("number", range(6))
def test_an_exception_that_cannot_be_read_is_reported_by_type_and_place(server: IngestServer, number: int) -> None:
    kind, name = [
        (NoDict, "NoDict"),
        (NoErrno, "NoErrno"),
        (EveryAttribute, "EveryAttribute"),
        (Endless, "Endless"),
        (NoAttribute, "NoAttribute"),
        (Nameless, "Nameless"),
    ][number]
    raised(lambda: kind("boom"))
    found = the_event(server)["exception"]["values"][-1]
    assert found["type"] == name
    frame = found["stacktrace"]["frames"][-1]
    assert frame["function"] == "raised"
    assert frame["context_line"].strip().startswith("raise error")


def test_the_truth_of_a_cause_is_not_asked_for(server: IngestServer) -> None:
    error = KeyError("outer")
    error.__cause__ = NoTruth("inner")
    raised(lambda: error)
    assert [each["type"] for each in the_event(server)["exception"]["values"]] == ["NoTruth", "KeyError"]


def test_a_sentence_that_has_no_text_hides_no_exception(server: IngestServer) -> None:
    raised(lambda: ZeroDivisionError(), Unreadable())
    assert the_event(server)["exception"]["values"][-1]["type"] == "ZeroDivisionError"


def test_a_sentence_that_has_no_text_is_named_by_its_type(server: IngestServer) -> None:
    log_record({"msg": Unreadable()})
    assert the_event(server)["logentry"]["message"] == "<Unreadable>"


@pytest.mark.parametrize("exc_info", ["Traceback (most recent call last): …", True, (ValueError, None, None)])
def test_what_is_no_exception_does_not_hide_the_sentence(server: IngestServer, exc_info: Any) -> None:
    log_record({"msg": "from elsewhere", "exc_info": exc_info})
    assert the_event(server)["logentry"]["message"] == "from elsewhere"


def test_an_extra_with_a_key_that_is_no_text_does_not_hide_the_sentence(server: IngestServer) -> None:
    log.error("with more", extra={5: 6})
    assert the_event(server)["logentry"]["message"] == "with more"


@pytest.mark.parametrize("created", [1_700_000_000_000.0, 1e20, float("nan"), "2026-11-21"])
def test_a_breadcrumb_without_a_time_spoils_no_event(server: IngestServer, created: Any) -> None:
    """Who forwards records of other programs may have their times in milliseconds."""
    log_record({"levelno": logging.INFO, "msg": "before", "created": created})
    log.error("what happened")
    event = the_event(server)
    assert event["logentry"]["message"] == "what happened"
    assert [crumb.get("message") for crumb in event["breadcrumbs"]["values"]].count("before") == 1


def test_a_logger_whose_name_only_begins_like_ours_is_reported(server: IngestServer) -> None:
    logging.getLogger("urllib3_helpers").error("what happened")
    assert the_event(server)["logger"] == "urllib3_helpers"


def test_a_mark_of_an_earlier_boot_hides_nothing(server: IngestServer) -> None:
    """An exception in a plugin's store keeps its mark, and the monotonic clock begins anew with the machine."""
    error = ValueError("kept")
    error.__dict__["_sentry_reporter_seen"] = (None, time.monotonic() + 1e6)
    raised(lambda: error)
    assert the_event(server)["exception"]["values"][-1]["value"] == "kept"


def test_a_record_without_a_name_is_reported(server: IngestServer) -> None:
    """Who puts records together may leave it out: logging.makeLogRecord then sets None."""
    log_record({"name": None, "levelno": logging.INFO, "msg": "before"})
    record = logging.makeLogRecord({"levelno": logging.ERROR, "levelname": "ERROR", "msg": "what happened"})
    logging.getLogger("some.plugin").handle(record)  # the SDK's own part in it has no name to look at either
    event = the_event(server)
    assert event["logentry"]["message"] == "what happened"
    assert event["logger"] == "root"
    assert [crumb.get("message") for crumb in event["breadcrumbs"]["values"]].count("before") == 1


class Exiting:
    """A value whose text ends the thread that asks for it."""

    def __str__(self) -> str:
        raise SystemExit(3)

    __repr__ = __str__


def with_local(value: object, sentence: object = "it failed") -> None:
    try:
        raise ValueError(str(type(value)))  # noqa: TRY301 - its frame has the value
    except ValueError:
        log_record({"msg": sentence, "exc_info": sys.exc_info()})


@pytest.mark.parametrize(
    "fail",
    [
        lambda: log_record({"msg": Exiting()}),
        lambda: log_record({"msg": "about %s", "args": (Exiting(),)}),
        lambda: with_local(Exiting()),
        lambda: with_local(0, Exiting()),
    ],
    ids=["sentence", "argument", "local", "sentence with an exception"],
)
def test_a_text_that_wants_to_exit_ends_no_thread(server: IngestServer, fail: Callable[[], None]) -> None:
    fail()
    log.error("what came after")
    server.flush()
    assert "what came after" in [event.get("logentry", {}).get("message") for event in server.events()]


def test_a_signal_that_ends_the_bot_is_not_kept_from_it(server: IngestServer) -> None:
    class Signalling:
        def __str__(self) -> str:
            signal.raise_signal(signal.SIGUSR1)
            return "a text"

    def end(_number: int, _frame: object) -> None:
        sys.exit(7)

    before = signal.signal(signal.SIGUSR1, end)
    try:
        with pytest.raises(SystemExit):
            log_record({"msg": Signalling()})
    finally:
        signal.signal(signal.SIGUSR1, before)
