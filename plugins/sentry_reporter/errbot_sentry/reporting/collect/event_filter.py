"""Decides which records and exceptions become events: each error once, none with `skip_sentry`, no echoes, no storms.

An exception that was seen gets a mark, so that a second record about it is recognised (Errbot logs an activation error
three times). The mark is an attribute of the exception, so it needs no table and disappears with the exception.

Identical errors within a span of time are counted instead of captured again. Two errors are identical if their types,
the types of their causes and every code position of their tracebacks are the same; the key is made of these before
anything is serialised. The number of keys is bounded, and the counts are exact: if the table is full, the oldest count
is reported at once, like the count of an error that has stopped.
"""

from __future__ import annotations

import builtins
import logging
import math
import signal
import threading
import traceback
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.locks import Lock, held
from errbot_sentry.reporting.collect.bot_context import BotContext

_MOST_KEYS = 1000
_MOST_CAUSES = 5
_MOST_MEMBERS, _DEEPEST_GROUP = 20, 3
_GROUP: tuple[type[BaseException], ...] = tuple(filter(None, [getattr(builtins, "BaseExceptionGroup", None)]))


@dataclass
class RepeatCount:
    """How often an error was repeated without being captured: `count` times from `first` to `last` (monotonic seconds).

    `captured` is when the error was captured last. `summary` is the caller's data for the event that reports the count.
    `window` is the name of the count on disk, "" if it is not there.
    """

    key: int
    count: int
    first: float
    last: float
    summary: object = None
    captured: float = 0.0
    window: str = ""


@dataclass(frozen=True)
class Occurrence:
    """The decision about an error: capture it, or only count it.

    `earlier` has the count of the repeats before an error that is captured. `first_repeat` says that this is the first
    repeat, for which the caller should call `RepeatCounter.remember`.
    """

    capture: bool
    earlier: RepeatCount | None = None
    first_repeat: bool = False


class RepeatCounter:
    """The table of recent errors. With `seconds` 0, every error is captured. Thread-safe; the caller passes `now`."""

    def __init__(self, seconds: float, most_keys: int = _MOST_KEYS) -> None:
        self._seconds = seconds
        self._most = most_keys
        self._lock = Lock()
        self._entries: OrderedDict[int, RepeatCount] = OrderedDict()  # the oldest capture comes first
        self._evicted: list[RepeatCount] = []
        self._written: dict[str, int] = {}  # the counts that are on disk, by window
        self._windows = 0
        # Windows whose counts are in an event, each with the thread that captures it, until they are deleted on disk.
        self._reported: deque[tuple[int, str]] = deque(maxlen=most_keys)

    def add(self, key: int, now: float) -> Occurrence:
        """Count an error, and decide whether it is captured."""
        if self._seconds <= 0:
            return Occurrence(capture=True)
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or now - entry.captured >= self._seconds:
                self._entries[key] = RepeatCount(key, 0, now, now, captured=now)
                self._entries.move_to_end(key)
                self._make_room()
                if entry is not None and entry.window:
                    self._report(entry)
                return Occurrence(capture=True, earlier=entry if entry is not None and entry.count else None)
            if not entry.count:
                entry.first = now
            entry.count += 1
            entry.last = now
            return Occurrence(capture=False, first_repeat=entry.count == 1)

    def remember(self, key: int, summary: object) -> None:
        """Store a summary of the error with this key. (The caller makes it outside of our lock, with foreign code.)"""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                entry.summary = summary

    def due(self, now: float) -> list[RepeatCount]:
        """The counts that need their own event now, because their time is over or the table was full.

        The caller passes each to `report` before it captures the event.
        """
        with self._lock:
            counts, self._evicted = self._evicted, []
            while self._entries and now - next(iter(self._entries.values())).captured >= self._seconds:
                _, entry = self._entries.popitem(last=False)
                if entry.count:
                    counts.append(entry)
            return counts

    def report(self, count: RepeatCount) -> None:
        """Note that the next event of this thread contains this count."""
        with self._lock:
            self._report(count)

    def drain(self) -> list[RepeatCount]:
        """All counts; the table is empty afterwards."""
        return self.due(math.inf)

    def next_due(self) -> float | None:
        """When `due` will return a count, None while nothing is counted."""
        with self._lock:
            if self._evicted:
                return 0.0
            return next((entry.captured + self._seconds for entry in self._entries.values() if entry.count), None)

    def restore(self, counts: Sequence[RepeatCount]) -> None:
        """Let `due` return these counts of an earlier process."""
        with self._lock:
            self._evicted += counts

    def changed(self, life: str, most: int) -> list[RepeatCount]:
        """Copies of the counts that are not on disk, or with an older number.

        A count that is not on disk yet gets a window named after `life`, if fewer than `most` are on disk.
        """
        with self._lock:
            changed = []
            for entry in self._entries.values():
                if not entry.count or entry.summary is None or self._written.get(entry.window) == entry.count:
                    continue
                if not entry.window:
                    if len(self._written) >= most:
                        continue
                    self._windows += 1
                    entry.window = f"{life}-{self._windows}"
                self._written[entry.window] = entry.count
                changed.append(replace(entry))
            return changed

    def take_reported(self, *, of_all: bool = False) -> list[str]:
        """The windows of the counts that this thread (or any, with `of_all`) has captured since the last call."""
        with self._lock:
            own = threading.get_ident()
            windows = [window for thread, window in self._reported if of_all or thread == own]
            left = [] if of_all else [entry for entry in self._reported if entry[0] != own]
            self._reported = deque(left, self._reported.maxlen)
            return windows

    def _report(self, count: RepeatCount) -> None:
        if count.window:
            self._written.pop(count.window, None)
            self._reported.append((threading.get_ident(), count.window))

    def _make_room(self) -> None:
        while len(self._entries) > self._most:
            _, entry = self._entries.popitem(last=False)
            if not entry.count:
                continue
            self._evicted.append(entry)
            if len(self._evicted) > self._most:
                # Nobody has called `due` for long. Two counts become one, so that the sum stays exact.
                first, second = self._evicted[:2]
                self._report(first)
                self._evicted[:2] = [replace(second, count=first.count + second.count, first=first.first)]


def sum_of(counts: Sequence[RepeatCount]) -> RepeatCount:
    """The sum of several counts, for when there is no time to report each."""
    count = sum(one.count for one in counts)
    return RepeatCount(0, count, min(one.first for one in counts), max(one.last for one in counts))


def key_of_exception(error: BaseException, position: TracebackType | None, depth: int = 0) -> int:
    """The key of an error: a hash of its type, the types of its causes and every code position of its traceback.

    For an exception group, the keys of its members belong to it. Types count by name, because a new class may get the
    address of a deleted one.
    """
    parts: list[object] = [name_of_type(type(error))]
    cause = _cause_of(error)
    while cause is not None and len(parts) <= _MOST_CAUSES:
        parts.append(name_of_type(type(cause)))
        cause = _cause_of(cause)
    link = position
    while link is not None:
        code = link.tb_frame.f_code
        parts += (code.co_filename, code.co_firstlineno, link.tb_lasti)
        link = link.tb_next
    if issubclass(type(error), _GROUP) and depth < _DEEPEST_GROUP:
        members: tuple[BaseException, ...] = error.exceptions  # type: ignore[attr-defined]  # not in Python 3.10
        parts += (key_of_exception(member, member.__traceback__, depth + 1) for member in members[:_MOST_MEMBERS])
    return hash(tuple(parts))


def _cause_of(error: BaseException) -> BaseException | None:
    try:
        # Not with "or", which would call the cause's __bool__, and so foreign code.
        return error.__context__ if error.__cause__ is None else error.__cause__
    except Exception:  # noqa: BLE001 - the attributes may be foreign code too
        return None


def name_of_type(kind: type) -> tuple[str, str]:
    """Module and qualified name of a class, read without calling code of the class or its metaclass."""
    module = type.__getattribute__(kind, "__dict__").get("__module__")
    name: str = type.__getattribute__(kind, "__qualname__")
    return module if isinstance(module, str) else "", name


def key_of_record(record: logging.LogRecord) -> int:
    """The key of a record without an exception: where it was logged, and its message without its arguments."""
    try:
        sentence = str(record.msg)[:500]
    except Exception:  # noqa: BLE001 - __str__ is foreign code
        sentence = ""
    return hash((record.name, record.levelno, record.pathname, record.lineno, sentence))


_MARK = "_sentry_reporter_seen"
# Errbot logs its echoes at once. If an exception object is raised again later, it is a new error: some code stores one
# exception and raises it for every request.
_ECHO_SECONDS = 10.0
_MANAGER = "errbot.plugin_manager"
_BOOTSTRAP = "errbot.bootstrap"
_WRAPPERS = ("PluginActivationException", "PluginConfigurationException")
# plugin_manager.py, _activate_plugin, logs this before it logs the exception.
_ANNOUNCEMENT = "Plugin %s failed at activation stage, deactivating it..."
LOAD_ERRORS = "Some plugins failed to load:\n%s"


@dataclass(frozen=True)
class ErrorSummary:
    """The event that will report the count of an error that is only counted.

    `place` has the typed words, which are masked in the event.
    """

    event: dict[str, Any]
    place: BotContext


Summarize = Callable[[], ErrorSummary | None]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def exc_info_of(error: BaseException) -> ExcInfo:
    """The logging module's `exc_info` of an exception."""
    return type(error), error, error.__traceback__


def asks_to_exit(error: BaseException) -> bool:
    """Whether this is a SystemExit of a signal handler, which should end the bot.

    Any other SystemExit in our code comes from foreign code such as a `__str__`, and must not end a thread of the bot.
    """
    if not isinstance(error, SystemExit) or threading.current_thread() is not threading.main_thread():
        return False
    handlers = {getattr(signal.getsignal(number), "__code__", None) for number in signal.valid_signals()}
    return any(frame.f_code in handlers for frame, _ in traceback.walk_tb(error.__traceback__))


def is_skipped(error: BaseException) -> bool:
    """Whether the exception or its class has `skip_sentry = True`.

    Exactly True, so that an exception whose `__getattr__` has a value for every name is not skipped.
    """
    try:
        return getattr(error, "skip_sentry", False) is True
    except Exception:  # noqa: BLE001 - a property of foreign code
        return False


def _mark_of(error: BaseException) -> tuple[str | None, float] | None:
    try:
        mark = error.__dict__.get(_MARK)
    except Exception:  # noqa: BLE001 - a property of foreign code
        return None
    return mark if isinstance(mark, tuple) else None


def mark_seen(error: BaseException, now: float, event_id: str | None = None) -> None:
    """Mark this exception as handled, with the time (monotonic seconds) and its event."""
    with suppress(Exception):  # an exception may have no `__dict__`, or one that cannot be changed
        error.__dict__[_MARK] = (event_id, now)


def event_id_of(error: BaseException) -> str | None:
    """The id of this exception's event, None if it has none."""
    mark = _mark_of(error)
    return None if mark is None else mark[0]


def is_echo(record: logging.LogRecord) -> bool:
    """Whether a record only repeats or announces an error that another record reports better."""
    if record.name != _MANAGER:
        return False
    if not record.exc_info or record.exc_info[1] is None:
        return record.msg == _ANNOUNCEMENT
    error, position = record.exc_info[1], record.exc_info[2]
    if type(error).__name__ in _WRAPPERS and type(error).__module__ == _MANAGER:
        cause = error.__cause__ or error.__context__
        return cause is not None and (_mark_of(cause) is not None or is_skipped(cause))
    # This AttributeError comes from a plugin that could not be loaded: it is None in the list of plugins to activate.
    # bootstrap.py has logged its load error.
    return (
        isinstance(error, AttributeError)
        and position is not None
        and position.tb_next is None
        and position.tb_frame.f_code.co_name == "activate_non_started_plugins"
    )


def is_load_errors(record: logging.LogRecord) -> bool:
    """Whether a record contains the tracebacks of plugins that could not be loaded."""
    return record.name == _BOOTSTRAP and record.msg == LOAD_ERRORS


class EventFilter:
    """Admits each exception once, and identical errors once in a span of time."""

    def __init__(self, repeats: RepeatCounter, clock: Clock, on_repeat: Callable[[], None]) -> None:
        self._repeats = repeats
        self._clock = clock
        self._on_repeat = on_repeat

    def admit_exception(
        self, error: BaseException, position: TracebackType | None, summarize: Summarize | None = None
    ) -> tuple[bool, RepeatCount | None]:
        """Whether to capture this exception, and the count of its repeats before."""
        now = self._clock.monotonic()
        mark = _mark_of(error)
        if mark is not None and 0 <= now - mark[1] < _ECHO_SECONDS:  # a pickled one may have another boot's time
            return False, None
        mark_seen(error, now)
        if is_skipped(error):
            return False, None
        return self.admit_key(key_of_exception(error, position), summarize)

    def admit_key(self, key: int, summarize: Summarize | None = None) -> tuple[bool, RepeatCount | None]:
        """Like `admit_exception`, for an error with this key."""
        if held():  # only if the SDK is called by code that interrupts us; our own entry points use `afterwards`
            return True, None
        occurrence = self._repeats.add(key, self._clock.monotonic())
        if not occurrence.capture:
            self._on_repeat()
            if occurrence.first_repeat and summarize is not None:
                self._repeats.remember(key, summarize())
        return occurrence.capture, occurrence.earlier
