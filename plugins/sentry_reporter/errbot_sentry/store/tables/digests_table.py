"""Which rooms get a report, and when the next one is due."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, func, select

from errbot_sentry.store.corrupt_rows import LATEST
from errbot_sentry.store.records import DigestPlan
from errbot_sentry.store.schema import digests
from errbot_sentry.store.statements import Queries, is_due, next_due, upsert

_DAY = 86_400.0


class DigestsTable(Queries):
    """Queries about digests."""

    def put(self, plan: DigestPlan) -> None:
        """Add or replace a room's digest."""
        self._connection.execute(upsert(self._connection, digests), asdict(plan))

    def get(self, room: str) -> DigestPlan | None:
        """A room's digest, None where it has none."""
        row = self._connection.execute(select(digests).where(digests.c.room == room)).first()
        return None if row is None else self._plan(row)

    def remove(self, room: str) -> None:
        """No digest for this room any more."""
        self._connection.execute(digests.delete().where(digests.c.room == room))

    def due(self, now: float) -> list[DigestPlan]:
        """Digests whose time has come; only for a transaction that may write."""
        found = select(digests).where(is_due(digests.c.next_at, now, LATEST)).order_by(digests.c.room)
        read = [(row, self._plan(row)) for row in self._connection.execute(found)]
        for row in [row for row, plan in read if plan is None]:
            self.put_off(row.room, now)  # else it would be due for ever
        return [plan for _, plan in read if plan is not None]

    def put_off(self, room: str, now: float) -> None:
        """Look at a plan that makes no sense again in a day."""
        self._corrupt_rows.note("digests", room)
        self._connection.execute(digests.update().where(digests.c.room == room).values(next_at=now + _DAY))

    def next_due(self) -> float | None:
        """When the next digest is due; None where there is none."""
        return next_due(self._connection, select(func.min(digests.c.next_at)))

    def _plan(self, row: Row[Any]) -> DigestPlan | None:
        return self._corrupt_rows.read(
            "digests", row.room, lambda: DigestPlan(row.room, row.schedule, row.next_at, row.since)
        )
