"""Stores several deliveries in one commit, so that under load they share one wait for the disk.

The first thread commits. Threads that come meanwhile wait, and then one of them commits for all of them. A single
delivery has no delay. Each thread waits on a latch of its own and is woken once, when its delivery is stored: a thread
that is woken too early only takes the interpreter from the one that works.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from errbot_sentry.domain.errors import StoreError
from errbot_sentry.domain.locks import Latch, Lock
from errbot_sentry.store.database import ANSWER_SECONDS, Store
from errbot_sentry.store.records import Delivery

_MOST_AT_ONCE = 64
_PATIENCE = ANSWER_SECONDS + 0.5  # seconds to wait for the commits before; the database has limits of its own


@dataclass
class _Entry:
    delivery: Delivery
    done: bool = False
    leads: bool = False
    taken: bool = False
    first: bool = False
    error: StoreError | None = None
    wake: Latch = field(default_factory=Latch)


class GroupCommit:
    """Stores deliveries; those that come at the same time in one transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._entries: list[_Entry] = []
        self._busy = False
        self._guard = Lock()

    def store(self, delivery: Delivery) -> bool:
        """Store one delivery, which is then on disk. False if one of its keys was known and nothing was stored.

        Raises:
            StoreError: it is not stored.
        """
        entry = _Entry(delivery)
        with self._guard:
            self._entries.append(entry)
            waits, self._busy = self._busy, True
        if waits and not entry.wake.wait(_PATIENCE):  # woken when it is stored, or to commit for the others
            self._give_up(entry)
        if not entry.done:
            self._lead()
        if entry.error is not None:
            raise StoreError(str(entry.error)) from entry.error.__cause__
        return entry.first

    def _give_up(self, entry: _Entry) -> None:
        """Raise StoreError after too long a wait, unless another thread has begun to store this delivery."""
        with self._guard:
            if not entry.taken and not entry.leads:
                self._entries.remove(entry)
                raise StoreError("The alert state could not be written in time.")
        entry.wake.wait()  # the database's own limits end this

    def _lead(self) -> None:
        """Commit what waits, the own delivery first; then let a thread that came meanwhile do the same."""
        with self._guard:
            batch, self._entries = self._entries[:_MOST_AT_ONCE], self._entries[_MOST_AT_ONCE:]
            for entry in batch:
                entry.taken = True
        try:
            self._commit(batch)
        finally:
            with self._guard:
                self._busy = bool(self._entries)
                if self._entries:
                    self._entries[0].leads = True
                    self._entries[0].wake.open()
            for entry in batch[1:]:
                entry.wake.open()

    def _commit(self, batch: list[_Entry]) -> None:
        error: StoreError | None = StoreError("The alert state could not be written.")
        try:
            deliveries = [entry.delivery for entry in batch]
            with self._store.write(urgent=True) as tx:
                tx.alone_with(deliveries)
                firsts = tx.inbox.take_in(deliveries)
            for entry, first in zip(batch, firsts, strict=True):
                entry.first = first
            error = None
        except StoreError as failure:
            error = failure
        finally:  # whatever happened, nobody may wait for ever
            for entry in batch:
                entry.error = error
                entry.done = True
