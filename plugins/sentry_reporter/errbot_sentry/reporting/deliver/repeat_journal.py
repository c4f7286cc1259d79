"""Stores the counts of repeated errors on disk, beside the spool, so that they survive `kill -9`.

A thread appends the changes once a second, so counting itself costs nothing. A window is the count of one error since
its last capture. Before an envelope that reports counts is written, the windows of these counts are cancelled here. If
the process is killed in between, a count is lost, but none is ever reported twice. If the envelope can only wait in
memory, the thread cancels them.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from sentry_sdk.serializer import serialize

from errbot_sentry.domain.locks import Lock
from errbot_sentry.reporting.collect.bot_context import BotContext
from errbot_sentry.reporting.collect.event_filter import ErrorSummary, RepeatCount, RepeatCounter
from errbot_sentry.reporting.deliver.spool_folder import left_behind

log = logging.getLogger(__name__)

FILE = "repeats.jsonl"
_PERIOD = 1.0
_MOST_WINDOWS = 200
_MOST_BYTES = 4 * 1024 * 1024
_MOST_COUNTED = 10**9
_PLACE = ("kind", "command", "plugin", "module", "entry")  # the fields of a BotContext without people and typed words


class RepeatJournal:
    """Writes the counts of `repeats` to disk, and restores those of earlier processes.

    Args:
        redact: returns the event of a summary without secrets and typed words.
    """

    def __init__(self, repeats: RepeatCounter, redact: Callable[[ErrorSummary], dict[str, Any]]) -> None:
        self._repeats = repeats
        self._redact = redact
        self._lock = Lock()
        self._path: Path | None = None
        self._handle: int | None = None
        self._windows: dict[str, bool] = {}  # the windows in the file, and whether each has its event there
        self._cancelled: set[str] = set()  # the windows cancelled since the last `write` began
        # The windows of reported counts, also of those whose envelope is not written to disk.
        self._taken: deque[str] = deque()
        self._life = uuid.uuid4().hex[:12]
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self, slot: Path | None) -> None:
        """Use this folder of the spool, and restore the counts that ended processes left there and in other folders."""
        if slot is None:
            return
        self._path = slot / FILE
        try:
            windows, old = _windows_in(self._path), []
            for left in left_behind(slot.parent, slot):
                if (left / FILE).exists():
                    windows.update(_windows_in(left / FILE))
                    old.append(left / FILE)
            self._rewrite(windows)
            for path in old:
                path.unlink(missing_ok=True)
            self._windows = dict.fromkeys(windows, True)
            self._repeats.restore([_count_of(window, line) for window, line in windows.items()])
        except OSError as error:
            log.warning("Counts of repeated errors are not written to disk: %s", error)

    def start(self) -> None:
        """Write once a second."""
        if self._handle is None:
            return
        thread = threading.Thread(target=self._run, name="errbot-sentry-repeats", daemon=True)
        with suppress(RuntimeError):  # if no thread can be started, counts stay in memory
            thread.start()
            self._thread = thread

    def close(self) -> None:
        """End the thread, and cancel the windows of all counts that were reported."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(_PERIOD)
        self._cancel(self._repeats.take_reported(of_all=True))
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def leave_to_parent(self) -> None:
        """In the child of a fork, close the file, which belongs to the parent."""
        handle, self._handle, self._thread, self._lock = self._handle, None, None, Lock()
        if handle is not None:
            os.close(handle)

    def take_reported(self) -> Callable[[], None]:
        """A function that cancels the windows of the counts in this thread's event.

        Call it right before the event's envelope is written. A kill between the two loses these counts. A kill before
        that, or while the envelope of another event is written, loses none.
        """
        reported = self._repeats.take_reported()
        self._taken.extend(reported)  # without the lock, which is taken while a disk hangs
        return partial(self._cancel, reported)

    def _cancel(self, reported: Sequence[str]) -> None:
        if not reported:
            return
        with self._lock, suppress(OSError):
            self._cancelled.update(reported)
            known = [window for window in reported if self._windows.pop(window, None) is not None]
            if self._handle is not None and not self._append([{"id": window, "n": 0} for window in known]):
                os.ftruncate(self._handle, 0)  # the disk is full: better to lose counts than to report them twice
                self._windows.clear()
            elif known and not self._windows:
                self._rewrite({})

    def write(self) -> None:
        """Append the counts that have changed since the last call."""
        with self._lock:
            self._cancelled.clear()
        self._cancel([self._taken.popleft() for _ in range(len(self._taken))])
        for count in self._repeats.changed(self._life, _MOST_WINDOWS):
            line = self._line(count)
            with self._lock:
                if count.window in self._cancelled:
                    continue
                if self._append([line]):
                    self._windows[count.window] = "event" in line or self._windows.get(count.window, False)

    def _line(self, count: RepeatCount) -> dict[str, Any]:
        line: dict[str, Any] = {"id": count.window, "n": count.count, "s": round(count.last - count.first, 3)}
        summary = count.summary
        if not self._windows.get(count.window) and isinstance(summary, ErrorSummary):
            line["event"] = serialize(self._redact(summary))
            line["place"] = {name: getattr(summary.place, name) for name in _PLACE}
        return line

    def _append(self, lines: Sequence[dict[str, Any]]) -> bool:
        """Append lines; False if not all of them could be written, for example to a full disk."""
        if self._handle is None or not lines:
            return True
        # The line break comes first, because a full disk or a kill may have left half a line at the end of the file.
        data = "".join("\n" + json.dumps(line) for line in lines).encode()
        try:
            if os.write(self._handle, data) < len(data):
                return False
        except OSError:
            return False
        with suppress(OSError):
            if os.fstat(self._handle).st_size > _MOST_BYTES and self._path is not None:
                self._rewrite({window: line for window, line in _windows_in(self._path).items() if line["n"]})
        return True

    def _rewrite(self, windows: dict[str, dict[str, Any]]) -> None:
        """Replace the file by one with only these windows, one line each."""
        path = self._path
        if path is None:
            return
        temporary = path.with_suffix(".tmp")
        temporary.write_text("".join(json.dumps(line) + "\n" for line in windows.values()), encoding="utf-8")
        temporary.chmod(0o600)
        temporary.replace(path)
        handle, self._handle = self._handle, os.open(path, os.O_WRONLY | os.O_APPEND)
        if handle is not None:
            os.close(handle)

    def _run(self) -> None:
        while not self._ended.wait(_PERIOD):
            try:
                self.write()
            except Exception:  # nobody calls this thread, so the error can only be logged
                log.exception("Counts of repeated errors could not be written to disk")
                return


def _windows_in(path: Path) -> dict[str, dict[str, Any]]:
    """The windows in a file that are not cancelled, each as one line with its last count."""
    lines: dict[str, dict[str, Any]] = {}
    cancelled = set()
    for line in _lines_in(path):
        window, count = line["id"], line["n"]
        if not count:
            cancelled.add(window)
        lines[window] = {**lines.get(window, {}), **line}
    return {window: line for window, line in lines.items() if window not in cancelled}


def _lines_in(path: Path) -> Iterable[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    for raw in text.splitlines():
        try:  # the last line may be cut short
            line = json.loads(raw)
            valid = isinstance(line["id"], str) and 0 <= int(line["n"]) <= _MOST_COUNTED
            valid = valid and isinstance(line.get("event", {}), dict) and isinstance(line.get("place", {}), dict)
            line = {**line, "n": int(line["n"]), "s": float(line.get("s", 0.0))}
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
            continue
        if valid:
            yield line


def _count_of(window: str, line: dict[str, Any]) -> RepeatCount:
    summary = None
    if line.get("event"):
        place: dict[str, Any] = {name: str(line.get("place", {}).get(name) or "")[:200] for name in _PLACE}
        summary = ErrorSummary(line["event"], BotContext(**place))
    return RepeatCount(0, line["n"], 0.0, line["s"], summary, window=window)
