"""What other parts of the bot may do so that nothing is reported any more: the status says so."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sentry_sdk

from errbot_sentry.config.secrets import Secret
from errbot_sentry.config.settings import ReportSettings
from errbot_sentry.reporting.collect.bot_context import BotFacts
from errbot_sentry.reporting.collect.log_handler import ErrorLogHandler
from errbot_sentry.reporting.reporter import Reporter
from tests.fakes.ingest_server import IngestServer, ingest_server
from tests.system.report_bot import wait_until_sent
from tests.waiting import until


@pytest.fixture
def reporter(tmp_path: Path) -> Iterator[Reporter]:
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    root.setLevel(logging.INFO)
    settings = ReportSettings(enabled=True, dsn=Secret("http://0123456789abcdef@127.0.0.1:9/1"))
    reporter = Reporter(settings, BotFacts("test", "6.2.1"), tmp_path)
    assert reporter.start()
    yield reporter
    reporter.close(1)
    logging.disable(logging.NOTSET)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize(
    ("act", "note"),
    [
        (lambda: None, ""),
        # A plugin that sets up logging for itself does this for the whole bot.
        (lambda: logging.getLogger().handlers.clear(), "has replaced the root logger's handlers"),
        (lambda: logging.getLogger().setLevel(logging.CRITICAL), "lets no error through"),
        (lambda: logging.disable(logging.ERROR), "lets no error through"),
        (lambda: sentry_sdk.get_client().close(), "has closed the client of sentry_sdk"),
    ],
    ids=["nothing", "handlers", "level", "disabled", "closed client"],
)
def test_what_others_did_to_reporting_is_noted(reporter: Reporter, act: Callable[[], None], note: str) -> None:
    act()
    notes = reporter.status().notes
    assert note in notes[0] if note else notes == ()


@pytest.mark.parametrize("answer", [True, 5, {}, "event"])
def test_a_hook_that_returns_no_event_is_counted(tmp_path: Path, answer: object) -> None:
    with reporting(tmp_path, before_send=lambda _event, _hint: answer) as (reporter, server):
        logging.getLogger("some.plugin").error("lost")
        assert reporter.status().dropped == {"before_send": 1}
    assert server.events() == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(
    "options",
    [
        {"in_app_exclude": 5},
        {"in_app_include": [5]},
        {"ignore_errors": [5]},
        {"event_scrubber": 5},
        {"project_root": 5},
    ],
)
def test_an_event_that_the_sdk_fails_with_is_counted_and_noted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, options: dict[str, object]
) -> None:
    """Whoever captures it: our handler, a plugin, or the SDK's own integration, which swallows the SDK's error."""
    with reporting(tmp_path, **options) as (reporter, server):
        _crash_in_a_thread()
        assert reporter.status().dropped == {"sdk_failed": 1}
        try:
            {}["lost"]
        except KeyError:
            logging.getLogger("some.plugin").exception("lost")
        try:
            int("lost")
        except ValueError:
            assert reporter.capture_exception() is None
        status = reporter.status()
    assert server.events() == []
    assert status.dropped == {"sdk_failed": 3}
    assert [note for note in status.notes if note.startswith("sentry-sdk failed") and "SENTRY_OPTIONS" in note]
    assert caplog.text.count("sentry-sdk failed with an event") == 1


@contextmanager
def reporting(tmp_path: Path, **options: Any) -> Iterator[tuple[Reporter, IngestServer]]:
    """A reporter with these SENTRY_OPTIONS that has its own server."""
    with ingest_server() as server:
        settings = ReportSettings(enabled=True, dsn=Secret(server.dsn), options=options)
        reporter = Reporter(settings, BotFacts("test", "6.2.1"), tmp_path)
        assert reporter.start()
        try:
            yield reporter, server
        finally:
            reporter.close(5)


def test_an_event_that_the_operator_ignores_is_counted_and_no_trouble(tmp_path: Path) -> None:
    with reporting(tmp_path, ignore_errors=[LookupError]) as (reporter, server):
        assert reporter.capture_exception(KeyError("ignored")) is None
        status = reporter.status()
    assert server.events() == []
    assert (status.dropped, status.notes) == ({"ignore_errors": 1}, ())


def test_an_event_that_a_plugins_processor_drops_is_counted_once(tmp_path: Path) -> None:
    with reporting(tmp_path) as (reporter, _server):
        with sentry_sdk.new_scope() as scope:
            scope.add_event_processor(lambda _event, _hint: None)
            assert reporter.capture_message("dropped") is None
        status = reporter.status()
    assert (status.dropped, status.notes) == ({"event_processor": 1}, ())


def _crash_in_a_thread() -> None:
    def crash() -> None:
        raise ZeroDivisionError

    thread = threading.Thread(target=crash)
    thread.start()
    thread.join()


class Secretive(logging.Filter):
    """What a plugin puts on every handler of the root logger."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = str(record.msg).replace("treasure", "***")
        return "private" not in record.msg


def test_the_filters_that_others_put_on_every_handler_hold(tmp_path: Path) -> None:
    with reporting(tmp_path) as (reporter, server):
        for handler in logging.getLogger().handlers:
            if isinstance(handler, ErrorLogHandler):
                handler.addFilter(Secretive())
        logging.getLogger("some.plugin").error("private words")
        logging.getLogger("some.plugin").error("the treasure is lost")
        wait_until_sent(reporter)
        assert [event["logentry"]["message"] for event in server.events()] == ["the *** is lost"]


def test_a_filter_that_fails_lets_nothing_out(reporter: Reporter) -> None:
    *_, handler = [each for each in logging.getLogger().handlers if isinstance(each, ErrorLogHandler)]
    handler.addFilter(lambda record: record.no_such_attribute)
    logging.getLogger("some.plugin").error("lost")
    assert reporter.status().captured == 0
    assert reporter.status().notes == ("some errors could not be reported: the bot's log says why",)


def test_what_is_being_captured_when_the_plugin_is_reloaded_is_not_lost(tmp_path: Path) -> None:
    """The SDK drops an event without a word when its client is closed meanwhile."""
    begun = threading.Event()

    def slow(event: Any, _hint: Any) -> Any:
        begun.set()
        until(lambda: not reporter.status().running, 5, "the reload has begun")
        return event

    with reporting(tmp_path, before_send=slow) as (reporter, server):
        thread = threading.Thread(target=lambda: logging.getLogger("some.plugin").error("what happened"))
        thread.start()
        assert begun.wait(5)
        reporter.close(5)
        thread.join(5)
        until(lambda: [event["logentry"]["message"] for event in server.events()] == ["what happened"], 5)
