"""What the report flow has done, in numbers and words, for `!sentry status`, health and metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from errbot_sentry.domain.locks import Lock, afterwards


@dataclass(frozen=True)
class ReportStatus:
    """A moment's view. All counts are since the bot started and survive stop and start of the flow.

    Args:
        enabled: the settings want reporting; `running`: it is on now.
        dsn: masked.
        captured: errors and messages taken, each once; `sent`: those that the server has confirmed.
        spooled: envelopes that wait, `spool_bytes` what they take.
        repeated: identical errors that were only counted.
        dropped: reason to count, for every event given up.
        others_sent: confirmed envelopes that are no errors (transactions, sessions, feedback …).
        last_failure: a sentence without secrets, "" when the last try succeeded or there was none.
        notes: oddities an operator should know.
    """

    enabled: bool = False
    running: bool = False
    dsn: str = ""
    captured: int = 0
    sent: int = 0
    spooled: int = 0
    spool_bytes: int = 0
    repeated: int = 0
    others_sent: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    last_sent: datetime | None = None
    last_failure: str = ""
    notes: tuple[str, ...] = ()


class Counters:
    """The numbers while they grow; safe to use from any thread, and by code that interrupts one that counts."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self.last_sent: datetime | None = None
        self.last_failure = ""

    def add(self, name: str, by: int = 1) -> None:
        """Count "captured", "repeated", "sent" or "others_sent"."""
        afterwards(lambda: self._add(self._counts, name, by))

    def drop(self, category: str, reason: str) -> None:
        """Count an envelope that was given up; those without an error have their category in the name."""
        name = reason if category == "error" else f"{reason} ({category})"
        afterwards(lambda: self._add(self._dropped, name, 1))

    def sent(self, category: str, at: datetime) -> None:
        """Count an envelope that the server has confirmed."""
        self.add("sent" if category == "error" else "others_sent")
        self.last_sent = at
        self.last_failure = ""

    def get(self, name: str) -> int:
        """A count so far."""
        return self._counts[name]

    def dropped(self) -> dict[str, int]:
        """A copy of the counts by reason."""
        return dict(self._dropped)

    def _add(self, counts: Counter[str], name: str, by: int) -> None:
        with self._lock:
            counts[name] += by
