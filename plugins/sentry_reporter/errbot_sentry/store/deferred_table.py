"""First words that are held back: for a burst to gather, by a storm, in quiet hours, under a silence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, case, func, select

from errbot_sentry.store.corrupt_rows import CorruptRows
from errbot_sentry.store.records import DEFER_SILENCE, Deferred
from errbot_sentry.store.schema import deferred
from errbot_sentry.store.sql_dialect import SKEW, moment

DAMAGED = "damaged"  # instead of the reason why it is held: nobody asks for these
_NOT_TIMED = (DEFER_SILENCE, DAMAGED)
_NAMES = tuple(field.name for field in fields(Deferred))


class DeferredTable:
    """Questions about held words, inside one transaction."""

    def __init__(self, connection: Connection, corrupt_rows: CorruptRows) -> None:
        self._connection = connection
        self._corrupt_rows = corrupt_rows

    def add(self, words: Iterable[Deferred]) -> None:
        """Hold these back."""
        rows = [{key: value for key, value in asdict(word).items() if key != "id"} for word in words]
        if rows:
            self._connection.execute(deferred.insert(), rows)

    def of_room(self, room: str, reason: str) -> list[Deferred]:
        """What is held back in a room for this reason, oldest first; to be asked where things may be changed."""
        found = select(deferred).where(deferred.c.room == room, deferred.c.reason == reason).order_by(deferred.c.id)
        words, damaged = self._read(found)
        self._set_reason(damaged, DAMAGED)  # else they would be due for ever
        return words

    def set_aside(self, room: str, reason: str) -> None:
        """What is held back in a room for this reason cannot be told."""
        self._corrupt_rows.note("deferred", (room, reason))
        self._connection.execute(
            deferred.update().where(deferred.c.room == room, deferred.c.reason == reason).values(reason=DAMAGED)
        )

    def due_of_room(self, room: str, reason: str) -> float | None:
        """When the words held back in a room for this reason are told, None where there are none."""
        return moment(
            self._connection,
            select(func.min(deferred.c.due)).where(deferred.c.room == room, deferred.c.reason == reason),
        )

    def contains(self, room: str, reason: str, issue: str) -> bool:
        """Whether a word about this problem is held back in a room for this reason."""
        found = (
            select(deferred.c.id)
            .where(deferred.c.room == room, deferred.c.reason == reason, deferred.c.issue == issue)
            .limit(1)
        )
        return self._connection.scalar(found) is not None

    def due(self, now: float) -> list[tuple[str, str]]:
        """Rooms and reasons whose time has come; what a silence holds waits for its end."""
        found = (
            select(deferred.c.room, deferred.c.reason)
            .where(_due(now) <= now, deferred.c.reason.not_in(_NOT_TIMED))
            .distinct()
            .limit(100)
        )
        return [(row.room, row.reason) for row in self._connection.execute(found)]

    def next_due(self, now: float) -> float | None:
        """When the next held word is to be told."""
        return moment(self._connection, select(func.min(_due(now))).where(deferred.c.reason.not_in(_NOT_TIMED)))

    def of_silence(self, silence: int) -> list[Deferred]:
        """What a silence has held back, oldest first."""
        found = (
            select(deferred)
            .where(deferred.c.silence == silence, deferred.c.reason == DEFER_SILENCE)
            .order_by(deferred.c.id)
        )
        return self._read(found)[0]

    def drop(self, ids: Sequence[int]) -> None:
        """These are told, or not worth telling any more."""
        for start in range(0, len(ids), 400):
            self._connection.execute(deferred.delete().where(deferred.c.id.in_(ids[start : start + 400])))

    def drop_silence(self, silence: int) -> None:
        """The silence is over, and what it held back was told."""
        self._connection.execute(
            deferred.delete().where(deferred.c.silence == silence, deferred.c.reason == DEFER_SILENCE)
        )

    def counts(self) -> dict[str, int]:
        """How many are held back, by reason."""
        found = self._connection.execute(select(deferred.c.reason, func.count()).group_by(deferred.c.reason))
        return {str(row[0]): row[1] for row in found}

    def _read(self, question: Select[Any]) -> tuple[list[Deferred], list[int]]:
        """The words, and the numbers of the rows that cannot be read."""
        words, damaged = [], []
        for row in self._connection.execute(question):
            word = self._corrupt_rows.read("deferred", row.id, partial(_held, row))
            if word is not None:
                words.append(word)
            else:
                damaged.append(row.id)
        return words, damaged

    def _set_reason(self, ids: Sequence[int], reason: str) -> None:
        for start in range(0, len(ids), 400):
            part = ids[start : start + 400]
            self._connection.execute(deferred.update().where(deferred.c.id.in_(part)).values(reason=reason))


def _held(row: Row[Any]) -> Deferred:
    return Deferred(**{name: getattr(row, name) for name in _NAMES})


def _due(now: float) -> ColumnElement[float]:
    """When a held word is to be told: one from the future was held back while the clock was wrong, and is told now."""
    return case((deferred.c.at > now + SKEW, now), else_=deferred.c.due)
