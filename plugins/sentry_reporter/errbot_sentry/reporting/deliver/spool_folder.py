"""The folders inside the spool's folder, one for each process, their files, and who writes and bounds them.

A lock that ends with its process makes a folder the process's own. An envelope is one file, written under a temporary
name and then renamed: a file with the right name is whole, whatever instant the process died at. A thread of its own
writes, so that a disk that hangs delays the caller only once and briefly.
"""

from __future__ import annotations

import logging
import os
import queue
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from errbot_sentry.domain.locks import Latch, Lock

ERROR = "error"
_PARTS = 4


@dataclass(frozen=True)
class Entry:
    """One waiting envelope: `category` as rate limits name it, `event_id` "" where it has none, `size` in bytes."""

    seq: int
    category: str
    event_id: str
    size: int
    data: bytes | None = None

    @property
    def file_name(self) -> str:
        return f"{self.seq:016d}.{self.category}.{self.event_id}.gz"


class Quota:
    """What waits in one place, and what goes when it is full: errors go last, and only for other errors.

    Of `limit` bytes, errors may take all, and each other category (transactions, feedback, monitors …) a quarter. Where
    there is no room, a category makes it from its own oldest first, if its share is used up; then the category that
    takes most of all others gives its oldest. Not safe by itself: the spool locks around it.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: dict[str, OrderedDict[int, Entry]] = {}
        self._bytes: dict[str, int] = {}
        self.size = 0
        self.reserved = 0  # for what is being written

    def share(self, category: str) -> int:
        """The bytes that a category may take; an envelope that is larger never fits."""
        return self._limit if category == ERROR else self._limit // _PARTS

    def add(self, entry: Entry) -> None:
        """It waits here now."""
        self._entries.setdefault(entry.category, OrderedDict())[entry.seq] = entry
        self._bytes[entry.category] = self._bytes.get(entry.category, 0) + entry.size
        self.size += entry.size

    def remove(self, entry: Entry) -> None:
        """It waits here no longer."""
        self._bytes[entry.category] -= entry.size
        self.size -= entry.size
        del self._entries[entry.category][entry.seq]
        if not self._entries[entry.category]:
            del self._entries[entry.category], self._bytes[entry.category]

    def categories(self) -> list[str]:
        """The categories of which something waits here."""
        return list(self._entries)

    def clear(self) -> None:
        """Nothing waits here any more."""
        self._entries.clear()
        self._bytes.clear()
        self.size = self.reserved = 0

    def room_for(self, category: str, size: int, spare: int | None) -> list[Entry] | None:
        """What has to go for so many bytes more of a category, in this order; None: it does not fit, and nothing goes.

        `spare` is the sequence number of one that stays, because it is being sent.
        """
        if size > self.share(category):
            return None
        waiting = {
            name: (entry for entry in found.values() if entry.seq != spare) for name, found in self._entries.items()
        }
        left = dict(self._bytes)
        chosen: list[Entry] = []

        def take(name: str) -> bool:
            """Choose the oldest of a category; False when there is none left."""
            entry = next(waiting.get(name, iter(())), None)
            if entry is None:
                return False
            chosen.append(entry)
            left[name] -= entry.size
            return True

        def take_of_others() -> bool:
            """Choose the oldest of the category, errors aside, that takes most."""
            others = sorted((name for name in left if name != ERROR), key=lambda name: -left[name])
            return any(take(name) for name in others)

        while left.get(category, 0) + size > self.share(category):
            if not take(category):
                if category != ERROR:
                    return None
                break
        while sum(left.values()) + self.reserved + size > self._limit:
            if not take_of_others() and not (category == ERROR and take(ERROR)):
                # What is being sent or written is over soon; for an error that little is borrowed.
                return chosen if category == ERROR else None
        return chosen


try:
    import fcntl
except ImportError:  # not a POSIX system: there, two bots may take one directory
    fcntl = None  # type: ignore[assignment]  # no locks on Windows

_NAME = re.compile(r"(\d{16})\.([a-z_]{1,32})\.([0-9a-f]{0,32})\.gz")
_MOST_SLOTS = 64


class Slot:
    """One folder that belongs to this process until `release`. Any thread may use it."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self._handle = handle

    def write(self, entry: Entry, data: bytes) -> None:
        """Write an envelope. Raises OSError, and leaves nothing behind then."""
        temporary = f"{self.path}/{entry.seq:016d}.tmp"
        try:
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                written = os.write(handle, data)
                while written < len(data):
                    written += os.write(handle, data[written:])
            finally:
                os.close(handle)
            os.rename(temporary, f"{self.path}/{entry.file_name}")  # noqa: PTH104 - Path costs more than the write
        except OSError:
            with suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108 - as above
            raise

    def read(self, entry: Entry) -> bytes:
        """An envelope that was written. Raises OSError."""
        return (self.path / entry.file_name).read_bytes()

    def remove(self, entries: Iterable[Entry]) -> None:
        """Delete the files of these envelopes, as far as they are there."""
        for entry in entries:
            with suppress(OSError):
                (self.path / entry.file_name).unlink()

    def renumber(self, entry: Entry, seq: int) -> Entry | None:
        """Put a file of this folder behind all others, with the first free number from `seq` on; None if it is gone."""
        new = replace(entry, seq=seq)
        while new.seq != entry.seq and (self.path / new.file_name).exists():
            new = replace(new, seq=new.seq + 1)
        return new if self.take_file(self.path / entry.file_name, new) else None

    def take_file(self, path: Path, entry: Entry) -> bool:
        """Move a file here, as this envelope; False if it is gone."""
        try:
            path.rename(self.path / entry.file_name)
        except OSError:
            return False
        return True

    def sync(self, entries: Iterable[Entry]) -> None:
        """Let the disk make sure of these files, and of the folder."""
        for path in (*(f"{self.path}/{entry.file_name}" for entry in entries), str(self.path)):
            with suppress(OSError):  # sent and gone meanwhile; or a system that does not sync folders
                handle = os.open(path, os.O_RDONLY)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)

    def release(self) -> None:
        """Another process may have it now. In the child of a fork the parent keeps it: only the child's descriptor,
        which would extend the lock beyond the parent's end, is closed."""
        os.close(self._handle)


def take_slot(root: Path) -> Slot:
    """The first slot that no process has. Raises OSError where there is none, or no folder can be made."""
    # The mode is for the last folder only; in the one above, whoever may write could put another in its place.
    for folder in (root.parent, root):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in range(_MOST_SLOTS):
        path = root / str(number)
        path.mkdir(mode=0o700, exist_ok=True)
        handle = _lock(path)
        if handle is not None:
            return Slot(path, handle)
    raise OSError(f"all {_MOST_SLOTS} slots are in use")


def left_behind(root: Path, own: Path) -> Iterator[Path]:
    """The slots, but for one's own, whose process is gone; each stays locked while the caller works on it."""
    for path in sorted(root.iterdir()):
        if path == own or not path.is_dir():
            continue
        handle = _lock(path)
        if handle is None:
            continue
        try:
            yield path
        finally:
            os.close(handle)


def envelopes_in(slot: Path) -> list[Entry]:
    """What waits in a slot, by number. What is left of a write that a kill cut short is deleted: its capture never
    returned."""
    found = []
    for item in os.scandir(slot):
        match = _NAME.fullmatch(item.name)
        if match:
            # Not a link, a folder or a pipe of that name: reading one could lead anywhere, or wait for ever.
            if item.is_file(follow_symlinks=False):
                found.append(Entry(int(match[1]), match[2], match[3], item.stat().st_size))
        elif item.name.endswith(".tmp"):
            with suppress(OSError):
                os.unlink(item.path)  # noqa: PTH108 - scandir's paths are texts
    return sorted(found, key=lambda entry: entry.seq)


def _lock(slot: Path) -> int | None:
    """An exclusive lock on a slot, until the descriptor is closed; None when another process has it."""
    handle = os.open(slot / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    if fcntl is None:
        return handle
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


log = logging.getLogger(__name__)

_PATIENCE = 2.0


class _Job:
    __slots__ = ("abandoned", "done", "finished", "late", "result", "write")

    def __init__(self, write: Callable[[], bool], late: Callable[[bool], None]) -> None:
        self.write = write
        self.late = late
        self.result = False
        self.finished = self.abandoned = False
        self.done = Latch()


class DiskWriter:
    """Runs writes in its thread while the caller waits, at most `patience` seconds. Safe to use from any thread."""

    def __init__(self, patience: float = _PATIENCE) -> None:
        self._patience = patience
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = Lock()
        self._abandoned = 0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """From now on the thread writes; before, and where none can be started, the caller does."""
        thread = threading.Thread(target=self._run, name="errbot-sentry-spool", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            log.warning("The spool has no thread of its own: %s", error)
            return
        self._thread = thread

    def stop(self, timeout: float) -> None:
        """End the thread after what it has to do, waiting at most `timeout` seconds."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._jobs.put(None)
            thread.join(0.0 if self.stuck else timeout)

    @property
    def stuck(self) -> bool:
        """Whether a write does not come to its end: until it does, the writer takes no other."""
        return self._abandoned > 0

    def do(self, write: Callable[[], bool], late: Callable[[bool], None]) -> bool | None:
        """The result of the write; None where it is not done in time, and then `late` gets the result in the end,
        or where it was refused because the writer is stuck. An exception counts as False."""
        if self._thread is None:
            return _result(write)
        if self.stuck:
            return None
        job = _Job(write, late)
        self._jobs.put(job)
        if job.done.wait(self._patience):
            return job.result
        with self._lock:
            if job.finished:
                return job.result
            job.abandoned = True
            self._abandoned += 1
        return None

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            result = _result(job.write)
            with self._lock:
                job.result = result
                job.finished = True
                if job.abandoned:
                    self._abandoned -= 1
            if job.abandoned:
                job.late(result)
            else:
                job.done.open()


def _result(write: Callable[[], bool]) -> bool:
    try:
        return write()
    except Exception:  # the writing thread outlives any write
        log.exception("Writing to the spool failed in an unforeseen way")
        return False
