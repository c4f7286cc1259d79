"""How far the poller has read, scope by scope."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, select

from errbot_sentry.store.records import PollMark
from errbot_sentry.store.schema import polls
from errbot_sentry.store.statements import Queries, insert_for, is_due, upsert

LONGEST_WAIT = 7200.0  # seconds beyond the interval: no failure and no rate limit makes a longer pause


class PollsTable(Queries):
    """Queries about the poller's marks."""

    def get(self, scope: str) -> PollMark | None:
        """The mark of one scope, None if it was never read."""
        row = self._connection.execute(select(polls).where(polls.c.scope == scope)).first()
        return None if row is None else self._mark(row)

    def all(self) -> list[PollMark]:
        """All marks."""
        found = self._connection.execute(select(polls).order_by(polls.c.scope))
        return [mark for mark in map(self._mark, found) if mark is not None]

    def put(self, mark: PollMark) -> None:
        """Add or replace a mark."""
        values = {**asdict(mark), "complete": int(mark.complete)}
        self._connection.execute(upsert(self._connection, polls), values)

    def claim(self, scope: str, now: float, until: float) -> bool:
        """Take this scope for oneself until then, if it is due; False where another bot was first or it is too early.

        A scope without a mark gets an empty one, so that its first reading is claimed too. One that is due further
        ahead than anybody waits was written while the clock was wrong, and is due.
        """
        empty = PollMark(scope, baseline=0.0, complete=False, newest=0.0, next_at=until)
        statement = insert_for(self._connection, polls).values({**asdict(empty), "complete": 0})
        taken = statement.on_conflict_do_update(
            index_elements=["scope"],
            set_={"next_at": until},
            where=is_due(polls.c.next_at, now, until - now + LONGEST_WAIT),
        ).returning(polls.c.scope)
        return self._connection.execute(taken).first() is not None

    def _mark(self, row: Row[Any]) -> PollMark | None:
        def make() -> PollMark:
            complete = bool(row.complete)
            return PollMark(
                row.scope, row.baseline, complete, row.newest, row.next_at, row.fails, row.error, row.answered_at
            )

        # Where it cannot be read it is as if it never was: the next reading learns anew what there is.
        return self._corrupt_rows.read("polls", row.scope, make)
