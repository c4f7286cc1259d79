"""The spool: envelopes on disk until the server has them.

One file per envelope, written before the capture returns. Its name carries a sequence number, the category that the
server's rate limits name, and the event id: `0000000000000042.error.1f2e….gz`. Order is the sequence, never the clock.
The capture does not wait for `fsync`: the sender's thread syncs what the server does not take at once.

When the disk refuses (full, read-only) or does not answer, envelopes wait in memory instead, bounded, until it takes
them again.
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
    """The waiting envelopes of this process, oldest first. Safe to use from any thread; nothing here raises.

    Args:
        folder: where the files go; None keeps everything in memory.
        limit: bytes on disk; `Quota` decides what goes when a new envelope does not fit.
        dropped: called with (category, reason) of each envelope that is given up here.
        before_write: called by the thread that brings an envelope; what it returns is called right before the write, in
            another thread, and not at all if the envelope has to wait in memory.
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
        self._taken: int | None = None
        self._slot: Slot | None = None
        self._in_child = False
        self.trouble = ""

    def open(self) -> None:
        """Take a slot of the folder for this process, and what earlier processes left behind."""
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
        """In the child of a fork: what waits is the parent's, and so are its slot and its threads. The child takes a
        slot of its own as soon as it has something to write."""
        self._entries.clear()
        self._disk.clear()
        self._memory.clear()
        self._disk_writer = DiskWriter()  # without a thread: the child may end at any moment, so it writes by itself
        self._taken = None
        self._next = 1
        if self._slot is not None:
            self._slot.release()
            self._slot = None
        self._in_child = not self._closed

    def take_over(self) -> None:
        """Take over what waits in slots whose process is gone; from any thread, but one at a time."""
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
            too_much = self._drop_what_is_too_much()
        slot.remove(too_much)

    def close(self) -> None:
        """Release the slot; what waits in memory only is dropped and counted."""
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
        """The folder that belongs to this process; None while everything waits in memory."""
        return None if self._slot is None else self._slot.path

    @property
    def size(self) -> int:
        """Bytes waiting, on disk and in memory."""
        return self._disk.size + self._disk.reserved + self._memory.size

    def put(self, data: bytes, category: str, event_id: str) -> Entry:
        """Take an envelope: it is on disk when this returns, in memory where the disk refuses or does not answer."""
        with self._lock:
            if self._in_child:
                self._in_child = False
                self._open_slot()
            entry = Entry(self._next, category, event_id, len(data))
            self._next += 1
            # What is larger than its share would push everything else out, and still not fit.
            fits = entry.size <= self._disk.share(category)
            slot = self._slot if fits else None
            refused, too_much = ("", []) if slot is None else self._make_room(self._disk, entry, SPOOL_FULL)
            if slot is not None and not refused:
                self._disk.reserved += entry.size
        if refused:
            self._dropped(category, refused)
            return entry
        written: bool | None = False
        before = self._before_write()
        if slot is not None:
            written = self._disk_writer.do(
                partial(self._write, slot, entry, data, too_much, before),
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
        """Why it is refused, "" if it is not, and what had to go for it, for this reason."""
        if self._closed:
            return CLOSED, []
        if entry.size > quota.share(entry.category):
            return TOO_LARGE, []
        too_much = quota.room_for(entry.category, entry.size, self._taken)
        if too_much is None:
            return reason, []
        self._give_up(too_much, reason)
        return "", too_much

    def _give_up(self, entries: list[Entry], reason: str) -> None:
        for entry in entries:
            self._forget(entry.seq)
            self._dropped(entry.category, reason)

    def _written_late(self, entry: Entry, written: bool) -> None:
        """The disk has answered after all."""
        with self._lock:
            waits = self._entries.get(entry.seq)
            if written and waits is not None and waits.data is not None:
                self._memory.remove(waits)
                self._add(entry)
                return
            slot = self._slot
        if written and slot is not None:  # sent meanwhile, or given up
            slot.remove([entry])

    def sync(self) -> None:
        """Let the disk make sure of what waits, for the case of a power cut; not for the capturing thread."""
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
        """The oldest envelope whose category is not in `without`; the bound spares it until `done` or `release`.

        Those in `tried` (sequence number to tries) come only when nothing else waits, the least tried first, so that
        none of them delays the others.
        """
        with self._lock:
            later: Entry | None = None
            for entry in self._entries.values():
                if entry.category in without:
                    continue
                if entry.seq in tried:
                    later = entry if later is None or tried[entry.seq] < tried[later.seq] else later
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
            return None if slot is None else slot.read(entry)
        except FileNotFoundError:
            self.drop(entry, UNREADABLE)
        except OSError as error:
            self._note_trouble(error)
            self.drop(entry, UNREADABLE)
        return None

    def done(self, entry: Entry) -> None:
        """The server has it."""
        with self._lock:
            known = self._forget(entry.seq)
        if known is not None:
            self._remove_file(known)

    def release(self) -> None:
        """The envelope that was taken waits on."""
        with self._lock:
            self._taken = None

    def drop(self, entry: Entry, reason: str) -> None:
        """Give an envelope up, and say why."""
        with self._lock:
            known = self._forget(entry.seq)
        if known is not None:
            self._remove_file(known)
            self._dropped(entry.category, reason)

    def _forget(self, seq: int) -> Entry | None:
        """Take it out of the table. Its file is deleted outside of the lock, because the disk may be slow."""
        if self._taken == seq:
            self._taken = None
        known = self._entries.pop(seq, None)
        if known is not None:
            (self._disk if known.data is None else self._memory).remove(known)
        return known

    def _remove_file(self, entry: Entry) -> None:
        slot = self._slot
        if slot is not None and entry.data is None:
            slot.remove([entry])

    def _write(
        self, slot: Slot, entry: Entry, data: bytes, too_much: Iterable[Entry], before: Callable[[], None]
    ) -> bool:
        slot.remove(too_much)
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
            log.warning("The spool in %s cannot be used, undelivered events wait in memory: %s", self._root, error)
        self.trouble = error.strerror or type(error).__name__

    def _drop_what_is_too_much(self) -> list[Entry]:
        """Give up what is beyond the bounds, which may be smaller than in an earlier life."""
        gone = [entry for entry in self._entries.values() if entry.size > self._disk.share(entry.category)]
        self._give_up(gone, SPOOL_FULL)
        for category in [ERROR, *self._disk.categories()]:
            over = self._disk.room_for(category, 0, self._taken) or []
            self._give_up(over, SPOOL_FULL)
            gone += over
        return gone

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
        # We do not continue from a number that is not ours (taken already, or beyond any real count): a file that
        # somebody plants cannot use up ours.
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
