"""Silences that people made in chat."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import Connection, Row, or_, select

from errbot_sentry.store.corrupt_rows import CorruptRows
from errbot_sentry.store.records import Silence
from errbot_sentry.store.schema import silences
from errbot_sentry.store.statements import Queries, add_row, read_matchers

_OVER = 2
_NAMES = tuple(field.name for field in fields(Silence) if field.name != "matchers")


class SilencesTable(Queries):
    """Queries about silences."""

    def __init__(self, connection: Connection, corrupt_rows: CorruptRows) -> None:
        super().__init__(connection, corrupt_rows)
        self._present: list[Silence] | None = None

    def add(self, silence: Silence) -> int:
        """Store a silence; its number."""
        self._present = None
        values = {key: value for key, value in asdict(silence).items() if key != "id"}
        return add_row(self._connection, silences.insert().values({**values, "matchers": json.dumps(silence.matchers)}))

    def present(self) -> list[Silence]:
        """All silences that are not over, oldest first."""
        if self._present is None:  # needed once per alert, and the same in all of a transaction
            # Not only what is below: a stage that is no number is read too, and counted as corrupt.
            not_over = or_(silences.c.stage < _OVER, silences.c.stage > _OVER)
            found = self._connection.execute(select(silences).where(not_over).order_by(silences.c.id))
            self._present = [silence for silence in map(self._silence, found) if silence is not None]
        return list(self._present)

    def get(self, number: int) -> Silence | None:
        """One silence, also one that is over."""
        row = self._connection.execute(select(silences).where(silences.c.id == number)).first()
        return None if row is None else self._silence(row)

    def end(self, number: int, now: float) -> None:
        """Let a silence end now; the scheduler sends what it deferred."""
        self._set(number, ends=now)

    def set_stage(self, number: int, stage: int) -> None:
        """Note what was sent about a silence."""
        self._set(number, stage=stage)

    def set_aside(self, number: int) -> None:
        """Nothing can be sent about this silence: it is over."""
        self._corrupt_rows.note("silences", number)
        self.set_stage(number, _OVER)

    def forget(self, before: float, limit: int) -> int:
        """Drop at most `limit` silences that were over before; how many were dropped."""
        old = select(silences.c.id).where(silences.c.stage == _OVER, silences.c.ends < before).limit(limit)
        return self._connection.execute(silences.delete().where(silences.c.id.in_(old))).rowcount

    def _set(self, number: int, **values: float) -> None:
        self._present = None
        self._connection.execute(silences.update().where(silences.c.id == number).values(values))

    def _silence(self, row: Row[Any]) -> Silence | None:
        def make() -> Silence:
            values = {name: getattr(row, name) for name in _NAMES}
            return Silence(matchers=read_matchers(row.matchers), **values)

        return self._corrupt_rows.read("silences", row.id, make)
