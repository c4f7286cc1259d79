"""Which records and exceptions become events: each error once, none with `skip_sentry`, no echoes, no storms.

An exception that was seen carries a mark, so that the second record about it is recognised (Errbot logs an activation
error three times). The mark is on the exception itself: it costs no table and dies with it.

Identical errors within a span of time are counted, not captured again. Two errors are identical when their exception
type (and those of its causes) and every code position on the way are the same; the key is made of these before anything
is serialised. Memory is bounded by the number of keys, counts are exact: what a full table drops is reported at once,
like what no longer comes.
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
    """How often an error came again without being captured: `count` times from `first` to `last` (monotonic seconds).

    `summary` is what the caller remembers of it for the event that reports the count; `captured` is when the error was
    captured last. `window` names the count on the disk, "" where it is not there.
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
    """The decision about an error: capture it, with the count of those before it in `earlier`, or only count it.

    `first_repeat`: it is the first one that is only counted, so `RepeatCounter.remember` wants its summary.
    """

    capture: bool
    earlier: RepeatCount | None = None
    first_repeat: bool = False


class RepeatCounter:
    """The table of recent errors. `seconds` 0: every error is captured. Safe to use from any thread; `now` is passed
    in."""

    def __init__(self, seconds: float, most_keys: int = _MOST_KEYS) -> None:
        self._seconds = seconds
        self._most = most_keys
        self._lock = Lock()
        self._entries: OrderedDict[int, RepeatCount] = OrderedDict()  # the oldest capture comes first
        self._evicted: list[RepeatCount] = []
        self._written: dict[str, int] = {}  # the counts that are on the disk, by window
        self._windows = 0
        # Windows that an event has, with the thread that captures it, while the disk has them, too.
        self._reported: deque[tuple[int, str]] = deque(maxlen=most_keys)

    def add(self, key: int, now: float) -> Occurrence:
        """Record an error."""
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
        """Keep a summary of the error of this key. (Foreign code takes part in making one, so never under our lock.)"""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                entry.summary = summary

    def due(self, now: float) -> list[RepeatCount]:
        """The counts that need an event of their own now: their time is over, or the table was full.

        Each is to be passed to `report` when its event is captured.
        """
        with self._lock:
            counts, self._evicted = self._evicted, []
            while self._entries and now - next(iter(self._entries.values())).captured >= self._seconds:
                _, entry = self._entries.popitem(last=False)
                if entry.count:
                    counts.append(entry)
            return counts

    def report(self, count: RepeatCount) -> None:
        """The event that this thread captures next has this count."""
        with self._lock:
            self._report(count)

    def drain(self) -> list[RepeatCount]:
        """Everything still counted; the table is empty afterwards."""
        return self.due(math.inf)

    def next_due(self) -> float | None:
        """The time at which `due` may have something, None while nothing is counted."""
        with self._lock:
            if self._evicted:
                return 0.0
            return next((entry.captured + self._seconds for entry in self._entries.values() if entry.count), None)

    def restore(self, counts: Sequence[RepeatCount]) -> None:
        """Report these, which an earlier process counted, at the next opportunity."""
        with self._lock:
            self._evicted += counts

    def changed(self, life: str, most: int) -> list[RepeatCount]:
        """Copies of the counts that are not on the disk as they are now. Those of new windows, which are named after
        `life`, only as long as there are fewer than `most` of them on the disk."""
        with self._lock:
            found = []
            for entry in self._entries.values():
                if not entry.count or entry.summary is None or self._written.get(entry.window) == entry.count:
                    continue
                if not entry.window:
                    if len(self._written) >= most:
                        continue
                    self._windows += 1
                    entry.window = f"{life}-{self._windows}"
                self._written[entry.window] = entry.count
                found.append(replace(entry))
            return found

    def take_reported(self, *, of_all: bool = False) -> list[str]:
        """The windows whose counts are in what this thread has captured since the last time, or any thread."""
        with self._lock:
            own = threading.get_ident()
            taken = [window for thread, window in self._reported if of_all or thread == own]
            left = [] if of_all else [each for each in self._reported if each[0] != own]
            self._reported = deque(left, self._reported.maxlen)
            return taken

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
                # They are not collected for long: fewer, and still exact.
                first, second = self._evicted[:2]
                self._report(first)
                self._evicted[:2] = [replace(second, count=first.count + second.count, first=first.first)]


def sum_of(counts: Sequence[RepeatCount]) -> RepeatCount:
    """Several counts in one, for when there is no time to report each."""
    count = sum(one.count for one in counts)
    return RepeatCount(0, count, min(one.first for one in counts), max(one.last for one in counts))


def key_of_exception(error: BaseException, position: TracebackType | None, depth: int = 0) -> int:
    """The identity of an error: its type, the types of its causes, every code position of its traceback, and of a group
    the same for each of its members. Types by their names: a class that died leaves its address to the next one."""
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
        # Not "or", which asks for the cause's truth: that is foreign code.
        return error.__context__ if error.__cause__ is None else error.__cause__
    except Exception:  # noqa: BLE001 - and so may be its attributes
        return None


def name_of_type(kind: type) -> tuple[str, str]:
    """Module and qualified name of a class, past what its own attributes and its metaclass make of them."""
    module = type.__getattribute__(kind, "__dict__").get("__module__")
    name: str = type.__getattribute__(kind, "__qualname__")
    return module if isinstance(module, str) else "", name


def key_of_record(record: logging.LogRecord) -> int:
    """The identity of a record without an exception: where it was logged, and its sentence before its arguments."""
    try:
        sentence = str(record.msg)[:500]
    except Exception:  # noqa: BLE001 - __str__ is foreign code
        sentence = ""
    return hash((record.name, record.levelno, record.pathname, record.lineno, sentence))


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
class ErrorSummary:
    """An error that was only counted, as the event that will report its count; the words of its place are masked in
    it."""

    event: dict[str, Any]
    place: BotContext


Summarize = Callable[[], ErrorSummary | None]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def exc_info_of(error: BaseException) -> ExcInfo:
    """What the logging module calls exc_info."""
    return type(error), error, error.__traceback__


def asks_to_exit(error: BaseException) -> bool:
    """Whether this is a SystemExit that a signal handler raised, by which the bot is to end. Any other one that comes
    out of our work was raised by a `__str__` or the like, and must not end a thread of the bot."""
    if not isinstance(error, SystemExit) or threading.current_thread() is not threading.main_thread():
        return False
    handlers = {getattr(signal.getsignal(number), "__code__", None) for number in signal.valid_signals()}
    return any(frame.f_code in handlers for frame, _ in traceback.walk_tb(error.__traceback__))


def is_skipped(error: BaseException) -> bool:
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


def mark_seen(error: BaseException, now: float, event_id: str | None = None) -> None:
    """Remember that this exception was dealt with, when (monotonic seconds), and as which event."""
    with suppress(Exception):  # errors without a `__dict__`, or with one that refuses
        error.__dict__[_MARK] = (event_id, now)


def event_id_of(error: BaseException) -> str | None:
    """The event that this exception became, None when it became none."""
    mark = _mark_of(error)
    return None if mark is None else mark[0]


def is_echo(record: logging.LogRecord) -> bool:
    """Whether a record only repeats, or announces, an error that another record reports better."""
    if record.name != _MANAGER:
        return False
    if not record.exc_info or record.exc_info[1] is None:
        return record.msg == _ANNOUNCEMENT
    error, position = record.exc_info[1], record.exc_info[2]
    if type(error).__name__ in _WRAPPERS and type(error).__module__ == _MANAGER:
        cause = error.__cause__ or error.__context__
        return cause is not None and (_mark_of(cause) is not None or is_skipped(cause))
    # A plugin that could not be loaded is None in the list to activate; its load error was logged by bootstrap.py.
    return (
        isinstance(error, AttributeError)
        and position is not None
        and position.tb_next is None
        and position.tb_frame.f_code.co_name == "activate_non_started_plugins"
    )


def is_load_errors(record: logging.LogRecord) -> bool:
    """Whether a record has the tracebacks of plugins that could not be loaded."""
    return record.name == _BOOTSTRAP and record.msg == LOAD_ERRORS


class EventFilter:
    """Lets each error through once, and identical ones once in a while."""

    def __init__(self, repeats: RepeatCounter, clock: Clock, on_repeat: Callable[[], None]) -> None:
        self._repeats = repeats
        self._clock = clock
        self._on_repeat = on_repeat

    def admit_exception(
        self, error: BaseException, position: TracebackType | None, summarize: Summarize | None = None
    ) -> tuple[bool, RepeatCount | None]:
        """Whether to capture this exception, and what was only counted of it before."""
        now = self._clock.monotonic()
        mark = _mark_of(error)
        if mark is not None and 0 <= now - mark[1] < _ECHO_SECONDS:  # one that was stored may be of an earlier boot
            return False, None
        mark_seen(error, now)
        if is_skipped(error):
            return False, None
        return self.admit_key(key_of_exception(error, position), summarize)

    def admit_key(self, key: int, summarize: Summarize | None = None) -> tuple[bool, RepeatCount | None]:
        """The same for an error with this identity."""
        if held():  # the SDK was called by code that interrupts us; our own entry points wait for the lock instead
            return True, None
        occurrence = self._repeats.add(key, self._clock.monotonic())
        if not occurrence.capture:
            self._on_repeat()
            if occurrence.first_repeat and summarize is not None:
                self._repeats.remember(key, summarize())
        return occurrence.capture, occurrence.earlier
