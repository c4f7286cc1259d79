"""What other parts of the bot may do so that nothing is reported any more: the status says so."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sentry_sdk

from errbot_sentry.config.secrets import Secret
from errbot_sentry.config.settings import ReportSettings
from errbot_sentry.reporting.bot_facts import About
from errbot_sentry.reporting.collect.log_handler import ReportHandler
from errbot_sentry.reporting.reporter import Reporter
from tests.fakes.ingest_server import ingest_server
from tests.waiting import until


@pytest.fixture
def reporter(tmp_path: Path) -> Iterator[Reporter]:
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    root.setLevel(logging.INFO)
    settings = ReportSettings(enabled=True, dsn=Secret("http://0123456789abcdef@127.0.0.1:9/1"))
    reporter = Reporter(settings, About("test", "6.2.1"), tmp_path)
    assert reporter.start()
    yield reporter
    reporter.close(1)
    logging.disable(logging.NOTSET)
    root.handlers[:] = handlers
    root.setLevel(level)


def test_well_is_no_note(reporter: Reporter) -> None:
    assert reporter.status().notes == ()


def test_replaced_handlers_are_told(reporter: Reporter) -> None:
    """A plugin that sets up logging for itself does this for the whole bot."""
    logging.getLogger().handlers[:] = []
    assert "has replaced the root logger's handlers" in reporter.status().notes[0]


def test_a_level_above_errors_is_told(reporter: Reporter) -> None:
    logging.getLogger().setLevel(logging.CRITICAL)
    assert "lets no error through" in reporter.status().notes[0]


def test_disabled_logging_is_told(reporter: Reporter) -> None:
    logging.disable(logging.ERROR)
    assert "lets no error through" in reporter.status().notes[0]


def test_a_closed_client_is_told(reporter: Reporter) -> None:
    sentry_sdk.get_client().close()
    assert "has closed the client of sentry_sdk" in reporter.status().notes[0]


@pytest.mark.parametrize("answer", [True, 5, {}, "event"])
def test_a_hook_that_returns_no_event_is_counted(tmp_path: Path, answer: object) -> None:
    with ingest_server() as server:
        settings = ReportSettings(
            enabled=True, dsn=Secret(server.dsn), options={"before_send": lambda _event, _hint: answer}
        )
        reporter = Reporter(settings, About("test", "6.2.1"), tmp_path)
        assert reporter.start()
        logging.getLogger("some.plugin").error("lost")
        assert reporter.status().dropped == {"before_send": 1}
        reporter.close(1)
        assert server.events() == []


class Secretive(logging.Filter):
    """What a plugin puts on every handler of the root logger."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = str(record.msg).replace("treasure", "***")
        return "private" not in record.msg


def test_the_filters_that_others_put_on_every_handler_hold(tmp_path: Path) -> None:
    with ingest_server() as server:
        reporter = Reporter(ReportSettings(enabled=True, dsn=Secret(server.dsn)), About("test", "6.2.1"), tmp_path)
        assert reporter.start()
        for handler in logging.getLogger().handlers:
            if isinstance(handler, ReportHandler):
                handler.addFilter(Secretive())
        logging.getLogger("some.plugin").error("private words")
        logging.getLogger("some.plugin").error("the treasure is lost")
        reporter.flush(5)
        reporter.close(1)
        assert [event["logentry"]["message"] for event in server.events()] == ["the *** is lost"]


def test_a_filter_that_fails_lets_nothing_out(reporter: Reporter) -> None:
    *_, handler = [each for each in logging.getLogger().handlers if isinstance(each, ReportHandler)]
    handler.addFilter(lambda record: record.no_such_attribute)
    logging.getLogger("some.plugin").error("lost")
    assert reporter.status().captured == 0
    assert reporter.status().notes == ("some errors could not be reported: the bot's log says why",)


def test_what_is_being_captured_when_the_plugin_is_reloaded_is_not_lost(tmp_path: Path) -> None:
    """The SDK drops an event without a word when its client is closed meanwhile."""
    begun = threading.Event()

    def slow(event: Any, _hint: Any) -> Any:
        begun.set()
        time.sleep(0.3)
        return event

    with ingest_server() as server:
        settings = ReportSettings(enabled=True, dsn=Secret(server.dsn), options={"before_send": slow})
        reporter = Reporter(settings, About("test", "6.2.1"), tmp_path)
        assert reporter.start()
        thread = threading.Thread(target=lambda: logging.getLogger("some.plugin").error("what happened"))
        thread.start()
        assert begun.wait(5)
        reporter.close(5)
        thread.join(5)
        until(lambda: [event["logentry"]["message"] for event in server.events()] == ["what happened"], 5)
