"""The last known state of the server: issues, on which decisions are based, and how far the poller has read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Row, and_, or_, select

from errbot_sentry.store.records import KnownIssue, PollMark
from errbot_sentry.store.schema import issues, polls
from errbot_sentry.store.statements import Queries, insert_for, is_due, parts, upsert

LONGEST_WAIT = 7200.0  # seconds beyond the interval: no failure and no rate limit makes a longer pause


class IssuesTable(Queries):
    """Queries about known issues, by key or short id."""

    def get(self, key: str) -> KnownIssue | None:
        """One issue, None if we do not know it."""
        return self._first(select(issues).where(issues.c.key == key), self._known)

    def get_many(self, keys: Sequence[str]) -> dict[str, KnownIssue]:
        """The issues with these keys that we know, by key."""
        found: dict[str, KnownIssue] = {}
        for part in parts(keys):
            read = self._all(select(issues).where(issues.c.key.in_(part)), self._known)
            found.update((known.key, known) for known in read)
        return found

    def id_of(self, short_id: str) -> str:
        """The server's id of the issue with this short id, "" if we know none."""
        wanted = select(issues.c.key).where(issues.c.short_id == short_id, issues.c.key != short_id)
        return self._connection.execute(wanted.order_by(issues.c.touched.desc()).limit(1)).scalar() or ""

    def put(self, known: Iterable[KnownIssue]) -> None:
        """Add or replace issues."""
        self._put(issues, known)

    def forget(self, before: float, limit: int) -> int:
        """Delete at most `limit` issues about which nothing was received since `before`; returns how many."""
        return self._forget(issues, limit, issues.c.touched < before)

    def _known(self, row: Row[Any]) -> KnownIssue | None:
        # A corrupt row counts as an unknown issue until it is replaced.
        return self._record(KnownIssue, issues, row)


class PollsTable(Queries):
    """Queries about the poller's marks."""

    def get(self, scope: str) -> PollMark | None:
        """The mark of one scope, None if that scope was never polled."""
        return self._first(select(polls).where(polls.c.scope == scope), self._mark)

    def all(self) -> list[PollMark]:
        """All marks."""
        return self._all(select(polls).order_by(polls.c.scope), self._mark)

    def put(self, mark: PollMark) -> None:
        """Add or replace a mark."""
        values = {**mark.__dict__, "complete": int(mark.complete)}
        self._connection.execute(upsert(self._connection.dialect.name, polls), values)

    def claim(self, scope: str, now: float, until: float) -> bool:
        """Claim a scope until then if it is due; False if another bot was first or it is too early.

        A scope without a mark gets an empty one, so that its first poll is claimed too. A mark that is due further
        ahead than any poll is put off was written while the clock was wrong, and counts as due: without a failure,
        that is two intervals.
        """
        far = and_(polls.c.fails == 0, polls.c.next_at > now + 2 * (until - now))
        empty = PollMark(scope, baseline=0.0, complete=False, newest=0.0, next_at=until)
        statement = insert_for(self._connection.dialect.name, polls).values({**empty.__dict__, "complete": 0})
        claimed = statement.on_conflict_do_update(
            index_elements=["scope"],
            set_={"next_at": until},
            where=or_(is_due(polls.c.next_at, now, until - now + LONGEST_WAIT), far),
        ).returning(polls.c.scope)
        return self._connection.execute(claimed).first() is not None

    def _mark(self, row: Row[Any]) -> PollMark | None:
        # A corrupt mark counts as missing, and the next poll starts over.
        return self._record(PollMark, polls, row, complete=bool)
