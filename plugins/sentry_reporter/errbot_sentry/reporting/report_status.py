"""The status of the report flow, for `!sentry status`, health and metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from errbot_sentry.domain.locks import Lock, afterwards


@dataclass(frozen=True)
class ReportStatus:
    """The state at one moment. All counts are since the bot started, also over stops and starts of the flow.

    Args:
        enabled: whether the settings switch reporting on.
        running: whether it runs now.
        dsn: the DSN, masked.
        captured: errors and messages that were captured.
        sent: those of them that the server has confirmed.
        spooled: envelopes that wait to be sent.
        spool_bytes: the size of these.
        repeated: identical errors that were only counted.
        dropped: the number of lost events, by reason.
        others_sent: confirmed envelopes that are not errors (transactions, sessions, feedback …).
        last_failure: a sentence without secrets; "" if the last try succeeded or there was none.
        notes: sentences about problems that an operator should know.
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
    """The counts. Thread-safe, and also safe for code that interrupts a thread while it counts (`afterwards`)."""

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
        """Count an envelope that was lost. If it was not an error, the reason gets its category as a suffix."""
        name = reason if category == "error" else f"{reason} ({category})"
        afterwards(lambda: self._add(self._dropped, name, 1))

    def sent(self, category: str, at: datetime) -> None:
        """Count an envelope that the server has confirmed."""
        self.add("sent" if category == "error" else "others_sent")
        self.last_sent = at
        self.last_failure = ""

    def get(self, name: str) -> int:
        """The present value of one count of `add`."""
        return self._counts[name]

    def dropped(self) -> dict[str, int]:
        """A copy of the counts of `drop`, by reason."""
        return dict(self._dropped)

    def _add(self, counts: Counter[str], name: str, by: int) -> None:
        with self._lock:
            counts[name] += by
