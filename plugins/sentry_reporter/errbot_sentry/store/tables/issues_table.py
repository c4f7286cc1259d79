"""Issues as last known: what the poller compares with and what decisions are made from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import Row, select

from errbot_sentry.store.records import KnownIssue
from errbot_sentry.store.schema import issues
from errbot_sentry.store.statements import Queries, parts, upsert

_NAMES = tuple(field.name for field in fields(KnownIssue))


class IssuesTable(Queries):
    """Queries about known issues, by key or short id."""

    def get(self, key: str) -> KnownIssue | None:
        """One issue, None if it is not known."""
        row = self._connection.execute(select(issues).where(issues.c.key == key)).first()
        return None if row is None else self._known(row)

    def get_many(self, keys: Sequence[str]) -> dict[str, KnownIssue]:
        """Those of these issues that are known."""
        found: dict[str, KnownIssue] = {}
        for part in parts(keys):
            rows = map(self._known, self._connection.execute(select(issues).where(issues.c.key.in_(part))))
            found.update((known.key, known) for known in rows if known is not None)
        return found

    def id_of(self, short_id: str) -> str:
        """The server's id of the issue with this short id, "" where none is known."""
        wanted = select(issues.c.key).where(issues.c.short_id == short_id, issues.c.key != short_id)
        return self._connection.execute(wanted.order_by(issues.c.touched.desc()).limit(1)).scalar() or ""

    def put(self, known: Iterable[KnownIssue]) -> None:
        """Add or replace what is known of these issues."""
        rows = sorted((dict(each.__dict__) for each in known), key=lambda row: str(row["key"]))
        if rows:
            self._connection.execute(upsert(self._connection, issues), rows)

    def forget(self, before: float, limit: int) -> int:
        """Drop at most `limit` issues that nothing was received about since `before`; how many were dropped."""
        old = select(issues.c.key).where(issues.c.touched < before).limit(limit)
        return self._connection.execute(issues.delete().where(issues.c.key.in_(old))).rowcount

    def _known(self, row: Row[Any]) -> KnownIssue | None:
        # Where it cannot be read it is as if unknown, until it is put anew.
        return self._corrupt_rows.read("issues", row.key, lambda: KnownIssue(*(getattr(row, name) for name in _NAMES)))
