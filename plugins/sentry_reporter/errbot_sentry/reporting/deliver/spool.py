"""The spool: keeps envelopes on disk until the server has confirmed them.

Each envelope is one file, written before the capture returns. Its name has a sequence number, the category for the
server's rate limits, and the event id: `0000000000000042.error.1f2e….gz`. The sequence alone decides the order, and
never the clock. The capture does not wait for `fsync`: the sender's thread syncs envelopes that cannot be sent at once.

If the disk refuses a file (because it is full or read-only) or does not answer, the envelope waits in memory instead,
up to a limit.
"""

from __future__ import annotations

import errno
import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from errbot_sentry.domain.locks import Lock
from errbot_sentry.reporting.deliver.spool_folder import (
    ERROR,
    DiskWriter,
    Entry,
    Quota,
    Slot,
    envelopes_in,
    left_behind,
    take_slot,
)

log = logging.getLogger(__name__)

SPOOL_FULL, MEMORY_FULL, UNREADABLE = "spool_full", "memory_full", "unreadable"
TOO_LARGE, CLOSED = "too_large", "closed"

_MEMORY_BYTES = 8 * 1024 * 1024
_LAST_SEQUENCE = 10**15  # beyond any real count
_MOST_SYNCED = 200

_NONE: Mapping[int, int] = {}

Dropped = Callable[[str, str], None]


class Spool:
    """The waiting envelopes of this process, oldest first. Thread-safe; no method raises.

    Args:
        folder: where the files are; None keeps everything in memory.
        limit: bytes on disk; `Quota` decides which envelopes are dropped if a new one does not fit.
        dropped: called with (category, reason) of each envelope that is dropped here.
        before_write: called in the thread that calls `put`; the function that it returns is called right before the
            file is written, possibly in another thread. It is not called if the envelope has to wait in memory.
    """

    def __init__(
        self,
        folder: Path | None,
        limit: int,
        dropped: Dropped,
        disk_writer: DiskWriter | None = None,
        before_write: Callable[[], Callable[[], None]] = lambda: lambda: None,
    ) -> None:
        self._root = folder
        self._disk_writer = disk_writer or DiskWriter()
        self._dropped = dropped
        self._before_write = before_write
        self._lock = Lock()
        self._entries: OrderedDict[int, Entry] = OrderedDict()
        self._disk = Quota(limit)
        self._memory = Quota(_MEMORY_BYTES)
        self._next = 1
        self._synced = 0
        self._closed = False
        self._sending: int | None = None  # the number of the envelope that `oldest` gave out
        self._slot: Slot | None = None
        self._in_child = False
        self.trouble = ""

    def open(self) -> None:
        """Take a slot of the folder for this process, and take over the envelopes of earlier processes."""
        with self._lock:
            self._open_slot()
        if self._slot is not None:
            self.take_over()
            self._synced = self._next - 1
            self._disk_writer.start()

    def _open_slot(self) -> None:
        if self._root is None:
            return
        try:
            self._slot = take_slot(self._root)
            self._load(self._slot)
        except OSError as error:
            self._note_trouble(error)

    def leave_to_parent(self) -> None:
        """In the child of a fork, leave the waiting envelopes, the slot and the threads to the parent.

        The child takes its own slot when it first has something to write.
        """
        self._entries.clear()
        self._disk.clear()
        self._memory.clear()
        self._disk_writer = DiskWriter()  # not started: the child may end at any moment, so the caller's thread writes
        self._sending = None
        self._next = 1
        if self._slot is not None:
            self._slot.release()
            self._slot = None
        self._in_child = not self._closed

    def take_over(self) -> None:
        """Move the envelopes of ended processes into our slot. Any thread may call this, but only one at a time."""
        slot = self._slot
        if self._root is None or slot is None or self.trouble:
            return
        try:
            for left in left_behind(self._root, slot.path):
                for entry in envelopes_in(left):
                    self._move_here(left / entry.file_name, entry, slot)
        except OSError as error:
            self._note_trouble(error)
        with self._lock:
            excess = self._drop_excess()
        slot.remove(excess)

    def close(self) -> None:
        """Release the slot. Envelopes that wait in memory are dropped and counted."""
        self._disk_writer.stop(1.0)
        with self._lock:
            self._closed = True
            lost = [entry for entry in self._entries.values() if entry.data is not None]
            self._entries.clear()
            self._disk.clear()
            self._memory.clear()
            if self._slot is not None:
                self._slot.release()
            self._slot = None
        for entry in lost:
            self._dropped(entry.category, CLOSED)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, seq: object) -> bool:
        return seq in self._entries

    @property
    def own_folder(self) -> Path | None:
        """The folder that belongs to this process; None if everything waits in memory."""
        return None if self._slot is None else self._slot.path

    @property
    def size(self) -> int:
        """The size of all waiting envelopes in bytes, on disk and in memory."""
        return self._disk.size + self._disk.reserved + self._memory.size

    def put(self, data: bytes, category: str, event_id: str) -> Entry:
        """Store an envelope. It is on disk when this returns, or in memory if the disk refuses or does not answer."""
        with self._lock:
            if self._in_child:
                self._in_child = False
                self._open_slot()
            entry = Entry(self._next, category, event_id, len(data))
            self._next += 1
            # An envelope that is larger than its share would push out all others, and still not fit.
            fits = entry.size <= self._disk.share(category)
            slot = self._slot if fits else None
            refused, excess = ("", []) if slot is None else self._make_room(self._disk, entry, SPOOL_FULL)
            if slot is not None and not refused:
                self._disk.reserved += entry.size
        if refused:
            self._dropped(category, refused)
            return entry
        written: bool | None = False
        before = self._before_write()
        if slot is not None:
            written = self._disk_writer.do(
                partial(self._write, slot, entry, data, excess, before),
                lambda ok: self._written_late(entry, ok),
            )
            if written is None:
                self._note_trouble(TimeoutError(errno.ETIMEDOUT, "it does not answer"))
        added = entry if written else replace(entry, data=data)
        with self._lock:
            if slot is not None:
                self._disk.reserved -= entry.size
            if not written:
                refused, _ = self._make_room(self._memory, entry, MEMORY_FULL)
            if not refused:
                self._entries[entry.seq] = added
                (self._disk if written else self._memory).add(added)
        if refused:
            self._dropped(category, refused)
        return added

    def _make_room(self, quota: Quota, entry: Entry, reason: str) -> tuple[str, list[Entry]]:
        """Make room for an envelope. Returns why it is refused ("" if it is not), and the envelopes dropped for it."""
        if self._closed:
            return CLOSED, []
        if entry.size > quota.share(entry.category):
            return TOO_LARGE, []
        excess = quota.room_for(entry.category, entry.size, self._sending)
        if excess is None:
            return reason, []
        self._drop_entries(excess, reason)
        return "", excess

    def _drop_entries(self, entries: list[Entry], reason: str) -> None:
        for entry in entries:
            self._forget(entry.seq)
            self._dropped(entry.category, reason)

    def _written_late(self, entry: Entry, written: bool) -> None:
        """Handle the end of a write for which `put` did not wait any longer: the envelope is then also in memory."""
        with self._lock:
            in_memory = self._entries.get(entry.seq)
            if written and in_memory is not None and in_memory.data is not None:
                self._memory.remove(in_memory)
                self._add(entry)
                return
            slot = self._slot
        if written and slot is not None:  # the envelope was sent or dropped meanwhile
            slot.remove([entry])

    def sync(self) -> None:
        """Sync waiting envelopes to disk, in case of a power cut. Too slow for the capturing thread."""
        with self._lock:
            slot, entries = self._slot, []
            for entry in reversed(self._entries.values()):
                if entry.seq <= self._synced:
                    break
                if entry.data is None:
                    entries.append(entry)
        if slot is None or not entries:
            return
        entries = entries[::-1][:_MOST_SYNCED]
        slot.sync(entries)
        self._synced = entries[-1].seq

    def oldest(self, without: Collection[str] = (), tried: Mapping[int, int] = _NONE) -> Entry | None:
        """The oldest envelope whose category is not in `without`. It is not dropped for others until `release`.

        Envelopes in `tried` (sequence number to tries) are only returned if no other waits, those with the fewest tries
        first, so that none of them delays others.
        """
        with self._lock:
            later: Entry | None = None
            for entry in self._entries.values():
                if entry.category in without:
                    continue
                if entry.seq in tried:
                    later = entry if later is None or tried[entry.seq] < tried[later.seq] else later
                    continue
                self._sending = entry.seq
                return entry
            self._sending = None if later is None else later.seq
            return later

    def read(self, entry: Entry) -> bytes | None:
        """The envelope's data. If its file cannot be read, it is dropped and counted, and this returns None."""
        if entry.data is not None:
            return entry.data
        slot = self._slot
        try:
            return None if slot is None else slot.read(entry)
        except FileNotFoundError:
            self.drop(entry, UNREADABLE)
        except OSError as error:
            self._note_trouble(error)
            self.drop(entry, UNREADABLE)
        return None

    def done(self, entry: Entry) -> None:
        """Delete an envelope that the server has confirmed."""
        with self._lock:
            known = self._forget(entry.seq)
        if known is not None:
            self._remove_file(known)

    def release(self) -> None:
        """Let the envelope that `oldest` returned wait on."""
        with self._lock:
            self._sending = None

    def drop(self, entry: Entry, reason: str) -> None:
        """Drop an envelope, and count it under this reason."""
        with self._lock:
            known = self._forget(entry.seq)
        if known is not None:
            self._remove_file(known)
            self._dropped(entry.category, reason)

    def _forget(self, seq: int) -> Entry | None:
        """Remove an envelope from the table. Its file is deleted outside of the lock, because the disk may be slow."""
        if self._sending == seq:
            self._sending = None
        known = self._entries.pop(seq, None)
        if known is not None:
            (self._disk if known.data is None else self._memory).remove(known)
        return known

    def _remove_file(self, entry: Entry) -> None:
        slot = self._slot
        if slot is not None and entry.data is None:
            slot.remove([entry])

    def _write(
        self, slot: Slot, entry: Entry, data: bytes, excess: Iterable[Entry], before: Callable[[], None]
    ) -> bool:
        slot.remove(excess)
        try:
            before()
            slot.write(entry, data)
        except OSError as error:
            self._note_trouble(error)
            return False
        self.trouble = ""
        return True

    def _note_trouble(self, error: OSError) -> None:
        if not self.trouble:
            log.warning("The spool in %s cannot be used; undelivered events wait in memory: %s", self._root, error)
        self.trouble = error.strerror or type(error).__name__

    def _drop_excess(self) -> list[Entry]:
        """Drop envelopes beyond the limits, which may be lower than when the envelopes were written."""
        dropped = [entry for entry in self._entries.values() if entry.size > self._disk.share(entry.category)]
        self._drop_entries(dropped, SPOOL_FULL)
        for category in [ERROR, *self._disk.categories()]:
            excess = self._disk.room_for(category, 0, self._sending) or []
            self._drop_entries(excess, SPOOL_FULL)
            dropped += excess
        return dropped

    def _add(self, entry: Entry) -> None:
        self._entries[entry.seq] = entry
        self._disk.add(entry)

    def _load(self, slot: Slot) -> None:
        odd = []
        for entry in envelopes_in(slot.path):
            if self._next <= entry.seq < _LAST_SEQUENCE:
                self._add(entry)
                self._next = entry.seq + 1
            else:
                odd.append(entry)
        # Files with a number that is used already or beyond any real count get new numbers. So nobody can use up our
        # numbers by putting a file with a high number here.
        for entry in odd:
            new = slot.renumber(entry, self._next)
            if new is not None:
                self._next = new.seq + 1
                self._add(new)

    def _move_here(self, old: Path, entry: Entry, slot: Slot) -> None:
        with self._lock:
            moved = replace(entry, seq=self._next)
            self._next += 1
        if slot.take_file(old, moved):
            with self._lock:
                if not self._closed:
                    self._add(moved)
