"""Many deliveries, one commit: under load the wait for the disk is shared by everyone who waits for it.

A thread hands in its delivery and waits for its turn. Whoever gets the turn first commits all that were handed in
meanwhile; the others find theirs done. There is no thread of its own and no delay when only one comes.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from errbot_sentry.errors import StoreError
from errbot_sentry.store.rows import LOCK_TAKE_IN, Delivery
from errbot_sentry.store.store import Store

_MOST_AT_ONCE = 64


@dataclass
class _Entry:
    delivery: Delivery
    done: bool = False
    first: bool = False
    error: StoreError | None = field(default=None)


class Gather:
    """Stores deliveries, several in one transaction when several come at once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._entries: list[_Entry] = []
        self._guard = threading.Lock()
        self._turn = threading.Lock()

    def store(self, delivery: Delivery) -> bool:
        """Store one delivery; it is on disk on return. False: one of its keys was known, and nothing was stored.

        Raises:
            StoreError: it is not stored.
        """
        entry = _Entry(delivery)
        with self._guard:
            self._entries.append(entry)
        while not entry.done:
            with self._turn:
                if not entry.done:
                    self._commit(self._take())
        if entry.error is not None:
            raise StoreError(str(entry.error)) from entry.error.__cause__
        return entry.first

    def _take(self) -> list[_Entry]:
        with self._guard:
            batch, self._entries = self._entries[:_MOST_AT_ONCE], self._entries[_MOST_AT_ONCE:]
        return batch

    def _commit(self, batch: list[_Entry]) -> None:
        error: StoreError | None = StoreError("The alert state could not be written.")
        try:
            with self._store.write(urgent=True) as work:
                work.alone(LOCK_TAKE_IN)
                firsts = work.inbox.take_in([entry.delivery for entry in batch])
            for entry, first in zip(batch, firsts, strict=True):
                entry.first = first
            error = None
        except StoreError as failure:
            error = failure
        finally:  # whatever happened, nobody may wait for ever
            for entry in batch:
                entry.error = error
                entry.done = True
