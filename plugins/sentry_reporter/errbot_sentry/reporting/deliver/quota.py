"""Shares of the spool, and what goes when it is full: errors go last, and only for other errors.

Of a bound, errors may take all, and each other category (transactions, feedback, monitors …) a quarter. Where there is
no room, a category makes it from its own oldest first, if its share is used up; then the category that takes most of
all others gives its oldest. Only an error ever pushes an error out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

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
    """What waits in one place, and what of it goes first. Not safe by itself: the spool locks around it.

    Args:
        limit: bytes for everything together.
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
        victims = _Victims(self._entries, self._bytes, spare)
        while victims.left.get(category, 0) + size > self.share(category):
            if not victims.take(category):
                if category != ERROR:
                    return None
                break
        over = self.size + self.reserved + size - self._limit
        while victims.freed < over:
            if not victims.take_of_others() and not (category == ERROR and victims.take(ERROR)):
                # What is being sent or written is over soon; for an error that little is borrowed.
                return victims.chosen if category == ERROR else None
        return victims.chosen


class _Victims:
    """Entries that would have to go, chosen one by one; the caller decides whether they do."""

    def __init__(self, entries: dict[str, OrderedDict[int, Entry]], sizes: dict[str, int], spare: int | None) -> None:
        self._waiting: dict[str, Iterator[Entry]] = {
            category: (entry for entry in found.values() if entry.seq != spare) for category, found in entries.items()
        }
        self.left = dict(sizes)
        self.chosen: list[Entry] = []
        self.freed = 0

    def take(self, category: str) -> bool:
        """Choose the oldest of a category; False when there is none left."""
        entry = next(self._waiting.get(category, iter(())), None)
        if entry is None:
            return False
        self.chosen.append(entry)
        self.left[category] -= entry.size
        self.freed += entry.size
        return True

    def take_of_others(self) -> bool:
        """Choose the oldest of the category, errors aside, that takes most."""
        others = sorted((category for category in self.left if category != ERROR), key=lambda name: -self.left[name])
        return any(self.take(category) for category in others)
