"""Notifications and updates that are put off, each with its reason, such as a storm or quiet hours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, case, func, or_, select

from errbot_sentry.store.corrupt_rows import LATEST
from errbot_sentry.store.records import DeferReason, Deferred
from errbot_sentry.store.schema import deferred
from errbot_sentry.store.statements import SKEW, Queries, next_due, parts, time_of

CORRUPT = "corrupt"  # instead of the reason: no query asks for these
_TIMED = [reason.value for reason in DeferReason if reason is not DeferReason.SILENCE]
_NAMES = tuple(field.name for field in fields(Deferred))


class DeferredTable(Queries):
    """Queries about what is put off."""

    def add(self, added: Iterable[Deferred]) -> None:
        """Put these off."""
        rows = [{**asdict(each), "reason": each.reason.value} for each in added]
        for row in rows:
            del row["id"]
        if rows:
            self._connection.execute(deferred.insert(), rows)

    def of_room(self, room: str, reason: DeferReason) -> list[Deferred]:
        """What is put off in a room for this reason, oldest first; only for a transaction that may write."""
        found = select(deferred).where(*_of(room, reason)).order_by(deferred.c.id)
        read, corrupt = self._read(found)
        for part in parts(corrupt):  # else they would be due for ever
            self._connection.execute(deferred.update().where(deferred.c.id.in_(part)).values(reason=CORRUPT))
        return read

    def set_aside(self, room: str, reason: DeferReason) -> None:
        """What is put off in a room for this reason cannot be sent."""
        self._corrupt_rows.note("deferred", (room, reason))
        self._connection.execute(deferred.update().where(*_of(room, reason)).values(reason=CORRUPT))

    def due_of_room(self, room: str, reason: DeferReason) -> float | None:
        """When what is put off in a room for this reason is due; None where there is nothing."""
        return time_of(self._connection.scalar(select(func.min(deferred.c.due)).where(*_of(room, reason))))

    def contains(self, room: str, reason: DeferReason, issue: str) -> bool:
        """Whether a message about this problem is put off in a room for this reason."""
        found = select(deferred.c.id).where(*_of(room, reason), deferred.c.issue == issue).limit(1)
        return self._connection.scalar(found) is not None

    def due(self, now: float) -> list[tuple[str, DeferReason]]:
        """Rooms and reasons whose time has come; what a silence defers waits for its end."""
        found = select(deferred.c.room, deferred.c.reason).where(_due(now) <= now, deferred.c.reason.in_(_TIMED))
        return [(row.room, DeferReason(row.reason)) for row in self._connection.execute(found.distinct().limit(100))]

    def next_due(self, now: float) -> float | None:
        """When the next of these is due."""
        return next_due(self._connection, select(func.min(_due(now))).where(deferred.c.reason.in_(_TIMED)))

    def of_silence(self, silence: int) -> list[Deferred]:
        """What a silence defers, oldest first."""
        return self._read(select(deferred).where(*_of_silence(silence)).order_by(deferred.c.id))[0]

    def drop(self, ids: Sequence[int]) -> None:
        """These are sent, or not worth sending any more."""
        for part in parts(ids):
            self._connection.execute(deferred.delete().where(deferred.c.id.in_(part)))

    def drop_silence(self, silence: int) -> None:
        """The silence is over, and what it deferred was listed."""
        self._connection.execute(deferred.delete().where(*_of_silence(silence)))

    def counts(self) -> dict[str, int]:
        """How many are put off, by reason."""
        found = self._connection.execute(select(deferred.c.reason, func.count()).group_by(deferred.c.reason))
        return {str(row[0]): row[1] for row in found}

    def _read(self, query: Select[Any]) -> tuple[list[Deferred], list[int]]:
        """What could be read, and the numbers of the rows that could not."""
        read, corrupt = [], []
        for row in self._connection.execute(query):
            each = self._corrupt_rows.read("deferred", row.id, partial(_deferred, row))
            if each is not None:
                read.append(each)
            else:
                corrupt.append(row.id)
        return read, corrupt


def _of(room: str, reason: DeferReason) -> tuple[ColumnElement[bool], ...]:
    return deferred.c.room == room, deferred.c.reason == reason.value


def _of_silence(silence: int) -> tuple[ColumnElement[bool], ...]:
    return deferred.c.silence == silence, deferred.c.reason == DeferReason.SILENCE.value


def _deferred(row: Row[Any]) -> Deferred:
    values = {name: getattr(row, name) for name in _NAMES}
    return Deferred(**{**values, "reason": DeferReason(row.reason)})


def _due(now: float) -> ColumnElement[float]:
    """When a row is due. One from the future was written while the clock was wrong, and is due now; so is one whose
    time is none, which is read and set aside then."""
    return case((or_(deferred.c.at > now + SKEW, deferred.c.due > LATEST), now), else_=deferred.c.due)
