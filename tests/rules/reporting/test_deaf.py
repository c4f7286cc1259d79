"""What other parts of the bot may do so that nothing is reported any more: the status says so."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import sentry_sdk

from errbot_sentry.config.secrets import Secret
from errbot_sentry.config.settings import ReportSettings
from errbot_sentry.reporting.bot_facts import About
from errbot_sentry.reporting.reporter import Reporter


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
