"""What of all that is logged or raised becomes an event: each error once, none that asked to stay in, no echoes.

An exception that was seen carries a mark, so that the second record about it (Errbot logs an activation error three
times) is known for what it is. The mark is on the exception itself: it costs no table and dies with it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.locks import held
from errbot_sentry.reporting.collect.bot_context import BotContext
from errbot_sentry.reporting.collect.repeat_counter import Repeats, Tally, key_of_exception, key_of_record

_MARK = "_sentry_reporter_seen"
# Errbot's echoes come at once. An object that is raised again later (some keep one and raise it for each request) is a
# new error.
_ECHO_SECONDS = 10.0
_MANAGER = "errbot.plugin_manager"
_BOOTSTRAP = "errbot.bootstrap"
_WRAPPERS = ("PluginActivationException", "PluginConfigurationException")
# plugin_manager.py, _activate_plugin: announces the exception that is logged next.
_ANNOUNCEMENT = "Plugin %s failed at activation stage, deactivating it..."
LOAD_ERRORS = "Some plugins failed to load:\n%s"


@dataclass(frozen=True)
class Intake:
    """An error on its way to becoming an event, and what goes with it."""

    where: BotContext
    earlier: Tally | None = None
    sentence: str = ""


@dataclass(frozen=True)
class Summary:
    """An error that was only counted, as the event that will tell its count. The event cannot be had without its place,
    whose words are masked in it."""

    event: dict[str, Any]
    where: BotContext


ErrorSummary = Callable[[], Summary | None]


def exc_info_of(error: BaseException) -> tuple[type[BaseException], BaseException, TracebackType | None]:
    """What the logging module calls exc_info."""
    return type(error), error, error.__traceback__


def stays_in(error: BaseException) -> bool:
    """Whether the exception, or its class, says `skip_sentry = True`; one that has every attribute does not."""
    try:
        return getattr(error, "skip_sentry", False) is True
    except Exception:  # noqa: BLE001 - a property of foreign code
        return False


def _mark_of(error: BaseException) -> tuple[str | None, float] | None:
    try:
        found = error.__dict__.get(_MARK)
    except Exception:  # noqa: BLE001 - a property of foreign code
        return None
    return found if isinstance(found, tuple) else None


def was_seen(error: BaseException) -> bool:
    """Whether this very exception was dealt with before."""
    return _mark_of(error) is not None


def mark_seen(error: BaseException, now: float, event_id: str | None = None) -> None:
    """Remember that this exception was dealt with, when (monotonic seconds), and as which event."""
    with suppress(Exception):
        error.__dict__[_MARK] = (event_id, now)


def event_of(error: BaseException) -> str | None:
    """The event that this exception became, None when it became none."""
    mark = _mark_of(error)
    return None if mark is None else mark[0]


def is_echo(record: logging.LogRecord) -> bool:
    """Whether a record only repeats, or announces, an error that another record tells better."""
    if record.name != _MANAGER:
        return False
    if not record.exc_info or record.exc_info[1] is None:
        return record.msg == _ANNOUNCEMENT
    error, traceback = record.exc_info[1], record.exc_info[2]
    if type(error).__name__ in _WRAPPERS and type(error).__module__ == _MANAGER:
        cause = error.__cause__ or error.__context__
        return cause is not None and (was_seen(cause) or stays_in(cause))
    # A plugin that could not be loaded is None in the list to activate; its load error was logged by bootstrap.py.
    return (
        isinstance(error, AttributeError)
        and traceback is not None
        and traceback.tb_next is None
        and traceback.tb_frame.f_code.co_name == "activate_non_started_plugins"
    )


def is_load_errors(record: logging.LogRecord) -> bool:
    """Whether a record holds the tracebacks of plugins that could not be loaded."""
    return record.name == _BOOTSTRAP and record.msg == LOAD_ERRORS


class EventFilter:
    """Lets each error through once, and identical ones once in a while."""

    def __init__(self, repeats: Repeats, clock: Clock, counted: Callable[[], None]) -> None:
        self._repeats = repeats
        self._clock = clock
        self._counted = counted

    def exception(
        self, error: BaseException, traceback: TracebackType | None, summary: ErrorSummary | None = None
    ) -> tuple[bool, Tally | None]:
        """Whether to capture this exception, and what was only counted of it before."""
        now = self._clock.monotonic()
        mark = _mark_of(error)
        if mark is not None and 0 <= now - mark[1] < _ECHO_SECONDS:  # one that was stored may be of an earlier boot
            return False, None
        mark_seen(error, now)
        if stays_in(error):
            return False, None
        return self._key(key_of_exception(error, traceback), summary)

    def record(self, record: logging.LogRecord, summary: ErrorSummary | None = None) -> tuple[bool, Tally | None]:
        """The same for a record without an exception."""
        return self._key(key_of_record(record), summary)

    def key(self, key: int) -> tuple[bool, Tally | None]:
        """The same for something that has its own identity."""
        return self._key(key, None)

    def _key(self, key: int, summary: ErrorSummary | None) -> tuple[bool, Tally | None]:
        if held():  # the SDK was called by code that interrupts us; our own ways in wait for the lock instead
            return True, None
        seen = self._repeats.seen(key, self._clock.monotonic())
        if not seen.capture:
            self._counted()
            if seen.unsketched and summary is not None:
                self._repeats.remember(key, summary())
        return seen.capture, seen.earlier
