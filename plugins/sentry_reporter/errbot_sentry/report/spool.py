"""The spool: envelopes on disk until the server has them.

One file per envelope, written before the capture returns, under a temporary name and then renamed: a file with the
right name is whole, whatever instant the process died at. The name carries a sequence number, the category that the
server's rate limits speak of, and the event id: `0000000000000042.error.1f2e….gz`. Order is the sequence, never the
clock. `fsync` is not called: the promise is against `kill -9`, not against a power cut.

When the disk refuses (full, read-only) envelopes wait in memory instead, bounded, until it takes them again.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

try:
    import fcntl
except ImportError:  # not a POSIX system: there, two bots on one directory are not told apart
    fcntl = None  # type: ignore[assignment]  # no locks on Windows

log = logging.getLogger(__name__)

SPOOL_FULL, MEMORY_FULL, UNREADABLE = "spool_full", "memory_full", "unreadable"

_NAME = re.compile(r"(\d{16})\.([a-z_]{1,32})\.([0-9a-f]{0,32})\.gz")
_MOST_SLOTS = 16
_MEMORY_BYTES = 8 * 1024 * 1024

Dropped = Callable[[str, str], None]


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


class Spool:
    """The waiting envelopes of this process, oldest first. Safe to use from any thread; nothing here raises.

    Args:
        folder: where the files go; None keeps everything in memory.
        limit: bytes on disk; when a new envelope does not fit, the oldest are dropped.
        dropped: told (category, reason) for each envelope that is given up here.
    """

    def __init__(self, folder: Path | None, limit: int, dropped: Dropped) -> None:
        self._root = folder
        self._limit = limit
        self._dropped = dropped
        self._lock = threading.Lock()
        self._entries: OrderedDict[int, Entry] = OrderedDict()
        self._bytes = 0
        self._memory_bytes = 0
        self._next = 1
        self._taken: int | None = None
        self._slot: Path | None = None
        self._slot_lock: int | None = None
        self.trouble = ""

    def open(self) -> None:
        """Take a slot of the folder for this process, and what earlier processes left behind."""
        if self._root is None:
            return
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._take_slot(self._root)
        except OSError as error:
            self._note_trouble(error)
            return
        with self._lock:
            self._load()
            self._adopt(self._root)
            self._keep_bound(0)

    def close(self) -> None:
        """Let go of the slot; what waits in memory only is dropped and counted."""
        with self._lock:
            lost = [entry for entry in self._entries.values() if entry.data is not None]
            self._entries.clear()
            self._bytes = self._memory_bytes = 0
            if self._slot_lock is not None:
                os.close(self._slot_lock)
            self._slot = self._slot_lock = None
        for entry in lost:
            self._dropped(entry.category, "closed")

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """Bytes waiting, on disk and in memory."""
        return self._bytes + self._memory_bytes

    def put(self, data: bytes, category: str, event_id: str) -> Entry:
        """Keep an envelope: on disk when this returns, in memory where the disk refuses."""
        with self._lock:
            entry = Entry(self._next, category, event_id, len(data))
            self._next += 1
            if self._write(entry, data):
                self._keep_bound(entry.size)
                self._bytes += entry.size
            else:
                entry = Entry(entry.seq, category, event_id, entry.size, data)
                self._keep_memory_bound(entry.size)
                self._memory_bytes += entry.size
            self._entries[entry.seq] = entry
            return entry

    def oldest(self, without: Collection[str] = (), passing_over: Collection[int] = ()) -> Entry | None:
        """The oldest envelope whose category is not in `without`; the bound spares it until `done` or `give_back`.

        Those in `passing_over` (sequence numbers) come only when nothing else waits.
        """
        with self._lock:
            later: Entry | None = None
            for entry in self._entries.values():
                if entry.category in without:
                    continue
                if entry.seq in passing_over:
                    later = later or entry
                    continue
                self._taken = entry.seq
                return entry
            self._taken = None if later is None else later.seq
            return later

    def read(self, entry: Entry) -> bytes | None:
        """The envelope; None when its file cannot be read any more (it is then dropped and counted)."""
        if entry.data is not None:
            return entry.data
        slot = self._slot
        try:
            if slot is None:
                return None
            return (slot / entry.file_name).read_bytes()
        except FileNotFoundError:
            self.drop(entry, UNREADABLE)
        except OSError as error:
            self._note_trouble(error)
            self.drop(entry, UNREADABLE)
        return None

    def done(self, entry: Entry) -> None:
        """The server has it."""
        with self._lock:
            self._forget(entry)

    def give_back(self) -> None:
        """The envelope that was taken waits on."""
        with self._lock:
            self._taken = None

    def drop(self, entry: Entry, reason: str) -> None:
        """Give an envelope up, and say why."""
        with self._lock:
            known = entry.seq in self._entries
            self._forget(entry)
        if known:
            self._dropped(entry.category, reason)

    def holds(self, event_id: str) -> bool:
        """Whether this event still waits."""
        with self._lock:
            return any(entry.event_id == event_id for entry in self._entries.values())

    def _forget(self, entry: Entry) -> None:
        if self._taken == entry.seq:
            self._taken = None
        if self._entries.pop(entry.seq, None) is None:
            return
        if entry.data is not None:
            self._memory_bytes -= entry.size
            return
        self._bytes -= entry.size
        if self._slot is not None:
            with suppress(OSError):
                (self._slot / entry.file_name).unlink()

    def _write(self, entry: Entry, data: bytes) -> bool:
        if self._slot is None:
            return False
        final = f"{self._slot}/{entry.file_name}"
        temporary = f"{self._slot}/{entry.seq:016d}.tmp"
        try:
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                written = os.write(handle, data)
                while written < len(data):
                    written += os.write(handle, data[written:])
            finally:
                os.close(handle)
            os.rename(temporary, final)  # noqa: PTH104 - on the path of every capture: Path costs more than the write
        except OSError as error:
            with suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108 - as above
            self._note_trouble(error)
            return False
        self.trouble = ""
        return True

    def _note_trouble(self, error: OSError) -> None:
        if not self.trouble:
            log.warning("The spool in %s cannot be used, undelivered events wait in memory: %s", self._root, error)
        self.trouble = error.strerror or type(error).__name__

    def _keep_bound(self, extra: int) -> None:
        self._shed(extra, lambda: self._bytes, self._limit, SPOOL_FULL, in_memory=False)

    def _keep_memory_bound(self, extra: int) -> None:
        self._shed(extra, lambda: self._memory_bytes, _MEMORY_BYTES, MEMORY_FULL, in_memory=True)

    def _shed(self, extra: int, used: Callable[[], int], limit: int, reason: str, in_memory: bool) -> None:
        """Drop the oldest of one kind until `extra` bytes fit; the one that is being sent stays."""
        if used() + extra <= limit:
            return
        for entry in list(self._entries.values()):
            if used() + extra <= limit:
                return
            if (entry.data is not None) is in_memory and entry.seq != self._taken:
                self._forget(entry)
                self._dropped(entry.category, reason)

    def _take_slot(self, root: Path) -> None:
        for number in range(_MOST_SLOTS):
            slot = root / str(number)
            slot.mkdir(mode=0o700, exist_ok=True)
            handle = _lock(slot)
            if handle is not None:
                self._slot, self._slot_lock = slot, handle
                return
        raise OSError(f"all {_MOST_SLOTS} slots are in use")

    def _load(self) -> None:
        if self._slot is None:
            return
        found = []
        for item in os.scandir(self._slot):
            match = _NAME.fullmatch(item.name)
            if match:
                found.append(Entry(int(match[1]), match[2], match[3], item.stat().st_size))
            elif item.name.endswith(".tmp"):
                with suppress(OSError):
                    os.unlink(item.path)  # noqa: PTH108 - a write that a kill cut short: its capture never returned
        for entry in sorted(found, key=lambda entry: entry.seq):
            self._entries[entry.seq] = entry
            self._bytes += entry.size
            self._next = entry.seq + 1

    def _adopt(self, root: Path) -> None:
        """Take over what waits in slots that nobody holds any more."""
        for slot in sorted(root.iterdir()):
            if slot == self._slot or not slot.is_dir():
                continue
            handle = _lock(slot)
            if handle is None:
                continue
            try:
                for old in sorted(slot.glob("*.gz")):
                    self._move_here(old)
            finally:
                os.close(handle)

    def _move_here(self, old: Path) -> None:
        match = _NAME.fullmatch(old.name)
        if match is None or self._slot is None:
            return
        with suppress(OSError):
            entry = Entry(self._next, match[2], match[3], old.stat().st_size)
            old.rename(self._slot / entry.file_name)
            self._next += 1
            self._entries[entry.seq] = entry
            self._bytes += entry.size


def _lock(slot: Path) -> int | None:
    """An exclusive lock on a slot, held until the descriptor is closed; None when another process has it."""
    handle = os.open(slot / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    if fcntl is None:
        return handle
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle
