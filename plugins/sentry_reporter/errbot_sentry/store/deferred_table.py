"""First words that are held back: for a burst to gather, by a storm, in quiet hours, under a silence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, case, func, select

from errbot_sentry.store.corrupt_rows import Damage
from errbot_sentry.store.records import HOLD_SILENCE, Held
from errbot_sentry.store.schema import held
from errbot_sentry.store.sql_dialect import SKEW, moment

DAMAGED = "damaged"  # instead of the reason why it is held: nobody asks for these
_NOT_TIMED = (HOLD_SILENCE, DAMAGED)
_NAMES = tuple(field.name for field in fields(Held))


class HeldBack:
    """Questions about held words, inside one transaction."""

    def __init__(self, connection: Connection, damage: Damage) -> None:
        self._connection = connection
        self._damage = damage

    def add(self, words: Iterable[Held]) -> None:
        """Hold these back."""
        rows = [{key: value for key, value in asdict(word).items() if key != "id"} for word in words]
        if rows:
            self._connection.execute(held.insert(), rows)

    def of_room(self, room: str, why: str) -> list[Held]:
        """What is held back in a room for this reason, oldest first; to be asked where things may be changed."""
        found = select(held).where(held.c.room == room, held.c.why == why).order_by(held.c.id)
        words, damaged = self._read(found)
        self._set_why(damaged, DAMAGED)  # else they would be due for ever
        return words

    def set_aside(self, room: str, why: str) -> None:
        """What is held back in a room for this reason cannot be told."""
        self._damage.note("held", (room, why))
        self._connection.execute(held.update().where(held.c.room == room, held.c.why == why).values(why=DAMAGED))

    def due_of_room(self, room: str, why: str) -> float | None:
        """When the words held back in a room for this reason are told, None where there are none."""
        return moment(self._connection, select(func.min(held.c.due)).where(held.c.room == room, held.c.why == why))

    def holds(self, room: str, why: str, issue: str) -> bool:
        """Whether a word about this problem is held back in a room for this reason."""
        found = select(held.c.id).where(held.c.room == room, held.c.why == why, held.c.issue == issue).limit(1)
        return self._connection.scalar(found) is not None

    def due(self, now: float) -> list[tuple[str, str]]:
        """Rooms and reasons whose time has come; what a silence holds waits for its end."""
        found = (
            select(held.c.room, held.c.why).where(_due(now) <= now, held.c.why.not_in(_NOT_TIMED)).distinct().limit(100)
        )
        return [(row.room, row.why) for row in self._connection.execute(found)]

    def next_due(self, now: float) -> float | None:
        """When the next held word is to be told."""
        return moment(self._connection, select(func.min(_due(now))).where(held.c.why.not_in(_NOT_TIMED)))

    def of_silence(self, silence: int) -> list[Held]:
        """What a silence has held back, oldest first."""
        found = select(held).where(held.c.silence == silence, held.c.why == HOLD_SILENCE).order_by(held.c.id)
        return self._read(found)[0]

    def drop(self, ids: Sequence[int]) -> None:
        """These are told, or not worth telling any more."""
        for start in range(0, len(ids), 400):
            self._connection.execute(held.delete().where(held.c.id.in_(ids[start : start + 400])))

    def drop_silence(self, silence: int) -> None:
        """The silence is over, and what it held back was told."""
        self._connection.execute(held.delete().where(held.c.silence == silence, held.c.why == HOLD_SILENCE))

    def counts(self) -> dict[str, int]:
        """How many are held back, by reason."""
        found = self._connection.execute(select(held.c.why, func.count()).group_by(held.c.why))
        return {str(row[0]): row[1] for row in found}

    def _read(self, question: Select[Any]) -> tuple[list[Held], list[int]]:
        """The words, and the numbers of the rows that cannot be read."""
        words, damaged = [], []
        for row in self._connection.execute(question):
            word = self._damage.read("held", row.id, partial(_held, row))
            if word is not None:
                words.append(word)
            else:
                damaged.append(row.id)
        return words, damaged

    def _set_why(self, ids: Sequence[int], why: str) -> None:
        for start in range(0, len(ids), 400):
            part = ids[start : start + 400]
            self._connection.execute(held.update().where(held.c.id.in_(part)).values(why=why))


def _held(row: Row[Any]) -> Held:
    return Held(**{name: getattr(row, name) for name in _NAMES})


def _due(now: float) -> ColumnElement[float]:
    """When a held word is to be told: one from the future was held back while the clock was wrong, and is told now."""
    return case((held.c.at > now + SKEW, now), else_=held.c.due)
