"""Reads what is known about the problems of many alerts in a few statements, and writes all changes in a few.

Each decision sees the changes of those before it. So many alerts get the same decisions together as one by one, and an
alert that is only counted needs no statement of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from errbot_sentry.store.database import LOCK_ROOMS
from errbot_sentry.store.records import Decision, Group, KnownIssue, Silence, WaitingAlert, issue_key, order_key

if TYPE_CHECKING:
    from errbot_sentry.domain.alerts import Alert
    from errbot_sentry.store.transaction import Transaction


class Batch:
    """The data for deciding about some alerts in one transaction (`tx`), which has to have locked their lanes.

    Changes are in the store after `write`.
    """

    def __init__(self, tx: Transaction, rows: Sequence[WaitingAlert]) -> None:
        self.tx = tx
        self.silences: list[Silence] = tx.silences.present()
        keys = sorted({issue_key(row.alert) for row in rows})
        self._issues: dict[str, KnownIssue | None] = {**dict.fromkeys(keys), **tx.issues.get_many(keys)}
        self._groups = tx.groups.of_issues(keys)
        self._changed_issues: dict[str, KnownIssue] = {}
        self._changed_groups: dict[tuple[str, str], Group] = {}
        self._alone_in_rooms = False
        self._decided: list[tuple[WaitingAlert, Alert, Sequence[Decision]]] = []

    def enter_rooms(self) -> None:
        """Take the lock for decisions about rooms, until the end of the transaction."""
        if not self._alone_in_rooms:
            self.tx.alone(LOCK_ROOMS)
            self._alone_in_rooms = True

    def issue(self, key: str) -> KnownIssue | None:
        """What is known of an issue, None if nothing is."""
        if key not in self._issues:  # the server's answer can give the problem another key
            self._issues[key] = self.tx.issues.get(key)
        return self._issues[key]

    def groups(self, key: str) -> dict[str, Group]:
        """The groups of one issue, by room, in the order of their names."""
        if key not in self._groups:
            self._groups[key] = self.tx.groups.of_issue(key)
        return dict(sorted(self._groups[key].items()))

    def put_issue(self, known: KnownIssue) -> None:
        """Add or replace what is known of an issue."""
        self._issues[known.key] = self._changed_issues[known.key] = known

    def put_groups(self, changed: Iterable[Group]) -> None:
        """Add or replace groups."""
        for group in changed:
            self._groups.setdefault(group.issue, {})[group.room] = group
            self._changed_groups[group.room, group.issue] = group

    def decide(self, row: WaitingAlert, alert: Alert, made: Sequence[Decision]) -> None:
        """Add a decided alert, as it was completed, and the decisions about it."""
        self._decided.append((row, alert, made))

    def write(self, now: float) -> None:
        """Write all changes."""
        self.tx.groups.put(self._changed_groups.values())
        self.tx.issues.put(self._changed_issues.values())
        self.tx.inbox.decide_all(self._decided, now)


class Parking:
    """The parked alerts about a batch's problems: those that wait for a look-up, and those behind them."""

    def __init__(self, tx: Transaction, rows: Sequence[WaitingAlert], now: float) -> None:
        self._tx = tx
        self._now = now
        self._parked = tx.inbox.parked(sorted({order_key(row.alert) for row in rows}), now)
        self._new: dict[float, list[int]] = {}

    def of_earlier(self, alert_id: int, key: str) -> float | None:
        """Until when an earlier alert about the same problem is parked; None if none is."""
        return max((until for number, until in self._parked.get(key, {}).items() if number < alert_id), default=None)

    def contains(self, alert_id: int, key: str) -> bool:
        """Whether this alert is parked."""
        return alert_id in self._parked.get(key, {})

    def park(self, alert_id: int, key: str, until: float) -> None:
        """Park an alert until this time."""
        self._parked.setdefault(key, {})[alert_id] = until
        self._new.setdefault(until, []).append(alert_id)

    def release(self, key: str) -> None:
        """Release the alerts that waited for this one: it is decided."""
        self.write()
        self._tx.inbox.release(key, self._now)
        self.forget(key)

    def forget(self, key: str) -> None:
        """Forget that alerts about this problem are parked."""
        self._parked.pop(key, None)

    def write(self) -> None:
        """Write which alerts are parked."""
        for until, ids in self._new.items():
            self._tx.inbox.park(ids, until)
        self._new.clear()
