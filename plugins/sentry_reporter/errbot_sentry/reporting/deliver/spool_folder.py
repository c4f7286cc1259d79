"""The slots of the spool: one folder for each process, with its files, their size limit, and the thread that writes.

A process owns a slot by a lock that ends with the process. Each envelope is one file, written under a temporary name
and then renamed, so that a file with the final name is complete even if the process died meanwhile. A separate thread
writes, so that a disk that hangs delays callers only once and briefly.
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
_PARTS = 4  # a category other than errors may take one part in so many


@dataclass(frozen=True)
class Entry:
    """One waiting envelope.

    `category` is the one that rate limits name. `event_id` is "" if it has none. `size` is in bytes. `data` is None if
    the envelope is on disk.
    """

    seq: int
    category: str
    event_id: str
    size: int
    data: bytes | None = None

    @property
    def file_name(self) -> str:
        return f"{self.seq:016d}.{self.category}.{self.event_id}.gz"


class Quota:
    """The envelopes in one place, and the rule of which are dropped if it is full: errors last, and only for errors.

    Errors may take all of the `limit` bytes, each other category (transactions, feedback, monitors …) a quarter. To
    make room, a category that has used up its share first drops its own oldest envelopes. After that, the category
    other than errors that takes most space drops its oldest. Not thread-safe: the spool locks around it.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: dict[str, OrderedDict[int, Entry]] = {}
        self._bytes: dict[str, int] = {}
        self.size = 0
        self.reserved = 0  # bytes of the envelopes that are being written

    def share(self, category: str) -> int:
        """The bytes that a category may take; a larger envelope never fits."""
        return self._limit if category == ERROR else self._limit // _PARTS

    def add(self, entry: Entry) -> None:
        """Add an envelope."""
        self._entries.setdefault(entry.category, OrderedDict())[entry.seq] = entry
        self._bytes[entry.category] = self._bytes.get(entry.category, 0) + entry.size
        self.size += entry.size

    def remove(self, entry: Entry) -> None:
        """Remove an envelope."""
        self._bytes[entry.category] -= entry.size
        self.size -= entry.size
        del self._entries[entry.category][entry.seq]
        if not self._entries[entry.category]:
            del self._entries[entry.category], self._bytes[entry.category]

    def categories(self) -> list[str]:
        """The categories of the waiting envelopes."""
        return list(self._entries)

    def clear(self) -> None:
        """Remove all envelopes."""
        self._entries.clear()
        self._bytes.clear()
        self.size = self.reserved = 0

    def room_for(self, category: str, size: int, spare: int | None) -> list[Entry] | None:
        """The envelopes to drop, in this order, for `size` more bytes of a category; None if these cannot fit.

        `spare` is the sequence number of the envelope that is being sent and so must stay.
        """
        if size > self.share(category):
            return None
        waiting = {
            name: (entry for entry in entries.values() if entry.seq != spare) for name, entries in self._entries.items()
        }
        left = dict(self._bytes)
        chosen: list[Entry] = []

        def take(name: str) -> bool:
            """Choose the oldest envelope of a category; False if there is none left."""
            entry = next(waiting.get(name, iter(())), None)
            if entry is None:
                return False
            chosen.append(entry)
            left[name] -= entry.size
            return True

        def take_of_others() -> bool:
            """Choose the oldest envelope of the category, other than errors, that takes most space."""
            others = sorted((name for name in left if name != ERROR), key=lambda name: -left[name])
            return any(take(name) for name in others)

        while left.get(category, 0) + size > self.share(category):
            if not take(category):
                if category != ERROR:
                    return None
                break
        while sum(left.values()) + self.reserved + size > self._limit:
            if not take_of_others() and not (category == ERROR and take(ERROR)):
                # Only what is being sent or written is left, and that ends soon. So an error may exceed the limit.
                return chosen if category == ERROR else None
        return chosen


try:
    import fcntl
except ImportError:  # not a POSIX system: two bots may then use one slot
    fcntl = None  # type: ignore[assignment]  # no locks on Windows

_NAME = re.compile(r"(\d{16})\.([a-z_]{1,32})\.([0-9a-f]{0,32})\.gz")
_MOST_SLOTS = 64


class Slot:
    """A folder that belongs to this process until `release`. Any thread may use it."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self._handle = handle

    def write(self, entry: Entry, data: bytes) -> None:
        """Write an envelope. If it raises OSError, no file is left."""
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
        """The data of an envelope in this folder. Raises OSError."""
        return (self.path / entry.file_name).read_bytes()

    def remove(self, entries: Iterable[Entry]) -> None:
        """Delete the files of these envelopes, if they exist."""
        for entry in entries:
            with suppress(OSError):
                (self.path / entry.file_name).unlink()

    def renumber(self, entry: Entry, seq: int) -> Entry | None:
        """Rename a file of this folder to the first free number from `seq` on; None if the file is gone."""
        new = replace(entry, seq=seq)
        while new.seq != entry.seq and (self.path / new.file_name).exists():
            new = replace(new, seq=new.seq + 1)
        return new if self.take_file(self.path / entry.file_name, new) else None

    def take_file(self, path: Path, entry: Entry) -> bool:
        """Move a file into this folder, as this envelope; False if the file is gone."""
        try:
            path.rename(self.path / entry.file_name)
        except OSError:
            return False
        return True

    def sync(self, entries: Iterable[Entry]) -> None:
        """Sync these files and the folder to disk."""
        for path in (*(f"{self.path}/{entry.file_name}" for entry in entries), str(self.path)):
            with suppress(OSError):  # the file was sent and deleted meanwhile, or the system cannot sync folders
                handle = os.open(path, os.O_RDONLY)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)

    def release(self) -> None:
        """Give the folder up, so that another process may take it.

        In the child of a fork, the parent still owns the folder. Only the child's descriptor is closed, because it
        would extend the lock beyond the parent's end.
        """
        os.close(self._handle)


def take_slot(root: Path) -> Slot:
    """Take the first slot that no process has. Raises OSError if there is none, or no folder can be created."""
    # `mkdir` only sets the mode of the last folder. If others could write to its parent, they could replace the folder,
    # so both are created with this mode.
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
    """The slots other than `own` whose process has ended; each stays locked while the caller works on it."""
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
    """The envelopes in a slot, by number. Temporary files are deleted: a kill interrupted their write."""
    entries = []
    for item in os.scandir(slot):
        match = _NAME.fullmatch(item.name)
        if match:
            # A link, folder or pipe of that name is ignored: reading it could lead anywhere, or wait for ever.
            if item.is_file(follow_symlinks=False):
                entries.append(Entry(int(match[1]), match[2], match[3], item.stat().st_size))
        elif item.name.endswith(".tmp"):
            with suppress(OSError):
                os.unlink(item.path)  # noqa: PTH108 - scandir's paths are strings
    return sorted(entries, key=lambda entry: entry.seq)


def _lock(slot: Path) -> int | None:
    """Lock a slot until the returned descriptor is closed; None if another process has it."""
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
    """Runs writes in its own thread, while the caller waits at most `patience` seconds. Thread-safe."""

    def __init__(self, patience: float = _PATIENCE) -> None:
        self._patience = patience
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = Lock()
        self._abandoned = 0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread that writes. Before that, or if no thread can be started, the caller's thread writes."""
        thread = threading.Thread(target=self._run, name="errbot-sentry-spool", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            log.warning("The spool cannot start its own thread: %s", error)
            return
        self._thread = thread

    def stop(self, timeout: float) -> None:
        """End the thread after the writes in its queue; wait at most `timeout` seconds for that."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._jobs.put(None)
            thread.join(0.0 if self.stuck else timeout)

    @property
    def stuck(self) -> bool:
        """Whether a write hangs. Until it ends, the writer accepts no other."""
        return self._abandoned > 0

    def do(self, write: Callable[[], bool], late: Callable[[bool], None]) -> bool | None:
        """Run a write and return its result; an exception counts as False.

        Returns None if the write is not done in time; `late` then gets the result later. Also None, without a later
        result, if the writer is stuck and so refuses the write.
        """
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
    except Exception:  # an unexpected error must not end the writing thread
        log.exception("Writing to the spool failed unexpectedly")
        return False
