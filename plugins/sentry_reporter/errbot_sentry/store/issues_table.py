"""Issues as last known: what the poller compares with and what decisions are made from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, Row, func, select

from errbot_sentry.store.corrupt_rows import CorruptRows
from errbot_sentry.store.records import KnownIssue
from errbot_sentry.store.schema import issues
from errbot_sentry.store.sql_dialect import upsert

_NAMES = tuple(field.name for field in fields(KnownIssue))
_AT_ONCE = 400  # parameters in one IN list


class Issues:
    """Questions about known issues, inside one transaction; every one by key."""

    def __init__(self, connection: Connection, corrupt_rows: CorruptRows) -> None:
        self._connection = connection
        self._corrupt_rows = corrupt_rows

    def get(self, key: str) -> KnownIssue | None:
        """One issue, None if it is not known."""
        row = self._connection.execute(select(issues).where(issues.c.key == key)).first()
        return None if row is None else self._known(row)

    def get_many(self, keys: Sequence[str]) -> dict[str, KnownIssue]:
        """Those of these issues that are known."""
        found: dict[str, KnownIssue] = {}
        for start in range(0, len(keys), _AT_ONCE):
            part = keys[start : start + _AT_ONCE]
            rows = map(self._known, self._connection.execute(select(issues).where(issues.c.key.in_(part))))
            found.update((known.key, known) for known in rows if known is not None)
        return found

    def put(self, known: Iterable[KnownIssue]) -> None:
        """Add or replace what is known of these issues."""
        rows = sorted((dict(each.__dict__) for each in known), key=lambda row: str(row["key"]))
        if rows:
            self._connection.execute(upsert(self._connection, issues), rows)

    def count(self) -> int:
        """How many are known."""
        return self._connection.scalar(select(func.count()).select_from(issues)) or 0

    def forget(self, before: float, limit: int) -> int:
        """Drop at most `limit` issues that nothing was heard of since `before`; how many went."""
        old = select(issues.c.key).where(issues.c.touched < before).limit(limit)
        return self._connection.execute(issues.delete().where(issues.c.key.in_(old))).rowcount

    def _known(self, row: Row[Any]) -> KnownIssue | None:
        # Where it cannot be read it is as if unknown, until it is put anew.
        return self._corrupt_rows.read("issues", row.key, lambda: KnownIssue(*(getattr(row, name) for name in _NAMES)))
