"""Storms: identical errors inside a span of time are counted, not captured again. Pure: `now` is passed in.

Two errors are identical when their exception type (and those of its causes) and every code position on the way are
the same; the key is made of these before anything is serialised. Memory is bounded by the number of keys, counts are
exact: what a full table pushes out is told at once, like what nobody repeats any more.
"""

from __future__ import annotations

import builtins
import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import TracebackType

from errbot_sentry.domain.locks import Lock

_MOST_KEYS = 1000
_MOST_CAUSES = 5
_MOST_MEMBERS, _DEEPEST_GROUP = 20, 3
_GROUP: tuple[type[BaseException], ...] = tuple(filter(None, [getattr(builtins, "BaseExceptionGroup", None)]))


@dataclass(frozen=True)
class Tally:
    """How often an error came again without being captured: `count` times from `first` to `last` (monotonic seconds).

    `sketch` is what the caller wants to remember of it for the event that tells the count.
    """

    key: int
    count: int
    first: float
    last: float
    summary: object = None


@dataclass(frozen=True)
class Seen:
    """The decision: capture it (and tell `earlier`, if errors were only counted before), or count it.

    `unsketched`: it is the first one to be counted, and `Repeats.remember` may be told what it looks like.
    """

    capture: bool
    earlier: Tally | None = None
    unsketched: bool = False


class _Entry:
    __slots__ = ("captured", "count", "first", "last", "summary")

    def __init__(self, captured: float) -> None:
        self.captured = captured
        self.count = 0
        self.first = self.last = captured
        self.summary: object = None


class Repeats:
    """The table of recent errors. `seconds` 0: every error is captured. Safe to use from any thread."""

    def __init__(self, seconds: float, most_keys: int = _MOST_KEYS) -> None:
        self._seconds = seconds
        self._most = most_keys
        self._lock = Lock()
        self._entries: OrderedDict[int, _Entry] = OrderedDict()
        self._pushed_out: list[Tally] = []
        self._untold = 0

    def seen(self, key: int, now: float) -> Seen:
        """Record an error."""
        if self._seconds <= 0:
            return Seen(capture=True)
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                self._entries[key] = _Entry(now)
                self._make_room()
                return Seen(capture=True)
            if now - entry.captured >= self._seconds:
                self._entries.move_to_end(key)
                earlier = _tally(key, entry) if entry.count else None
                self._entries[key] = _Entry(now)
                return Seen(capture=True, earlier=earlier)
            if not entry.count:
                entry.first = now
            entry.count += 1
            entry.last = now
            return Seen(capture=False, unsketched=entry.count == 1)

    def remember(self, key: int, summary: object) -> None:
        """What the error of this key looks like. (A sketch is made by foreign code, so never under our lock.)"""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                entry.summary = summary

    def due(self, now: float) -> list[Tally]:
        """What is to be told by itself now: spans that ended with a count, and what was pushed out of the table."""
        with self._lock:
            told, self._pushed_out = self._pushed_out, []
            over = []
            for key, entry in self._entries.items():
                if now - entry.captured < self._seconds:
                    break  # the oldest capture comes first
                over.append(key)
            for key in over:
                entry = self._entries.pop(key)
                if entry.count:
                    told.append(_tally(key, entry))
            return told

    def drain(self) -> list[Tally]:
        """Everything still counted; the table is empty afterwards."""
        with self._lock:
            told, self._pushed_out = self._pushed_out, []
            told += [_tally(key, entry) for key, entry in self._entries.items() if entry.count]
            self._entries.clear()
            return told

    def next_due(self) -> float | None:
        """The time at which `due` may have something, None while nothing is counted."""
        with self._lock:
            if self._pushed_out:
                return 0.0
            return next((entry.captured + self._seconds for entry in self._entries.values() if entry.count), None)

    def _make_room(self) -> None:
        while len(self._entries) > self._most:
            key, entry = self._entries.popitem(last=False)
            if not entry.count:
                continue
            self._pushed_out.append(_tally(key, entry))
            if len(self._pushed_out) > self._most:
                # Nobody takes them away: keep the counts exact in fewer pieces.
                first, second = self._pushed_out[:2]
                self._pushed_out[:2] = [replace(second, count=first.count + second.count, first=first.first)]


def summed(tallies: Sequence[Tally]) -> Tally:
    """Several tallies in one, for when there is no time to tell each."""
    count = sum(tally.count for tally in tallies)
    return Tally(0, count, min(tally.first for tally in tallies), max(tally.last for tally in tallies))


def _tally(key: int, entry: _Entry) -> Tally:
    return Tally(key, entry.count, entry.first, entry.last, entry.summary)


def key_of_exception(error: BaseException, traceback: TracebackType | None, depth: int = 0) -> int:
    """The identity of an error: its type, the types of its causes, every code position of its traceback, and of a group
    the same for each of its members. Types by their names: a class that died leaves its address to the next one."""
    parts: list[object] = [name_of_type(type(error))]
    cause = _cause_of(error)
    while cause is not None and len(parts) <= _MOST_CAUSES:
        parts.append(name_of_type(type(cause)))
        cause = _cause_of(cause)
    link = traceback
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
