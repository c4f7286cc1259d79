"""What people asked for in chat: silences, subscriptions and digests."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Insert, Row, Table, func, select

from errbot_sentry.config.matchers import read_matcher
from errbot_sentry.store.corrupt_rows import CorruptRows
from errbot_sentry.store.records import DigestPlan, Silence, Subscription
from errbot_sentry.store.schema import digests, silences, subscriptions
from errbot_sentry.store.sql_dialect import add_row, insert_for, moment

_OVER = 2
_DAY = 86_400.0
_SILENCE = tuple(field.name for field in fields(Silence))


class RequestsTable:
    """Questions about silences, subscriptions and digests, inside one transaction."""

    def __init__(self, connection: Connection, corrupt_rows: CorruptRows) -> None:
        self._connection = connection
        self._corrupt_rows = corrupt_rows
        self._silences: list[Silence] | None = None

    def add_silence(self, silence: Silence) -> int:
        """Keep a silence; its number."""
        self._silences = None
        return add_row(self._connection, _insert(silences, silence))

    def silences(self) -> list[Silence]:
        """All silences that are not over, oldest first."""
        if self._silences is None:  # asked once per alert, the same in all of a transaction
            found = select(silences).where(silences.c.stage < _OVER).order_by(silences.c.id)
            read = map(self._silence, self._connection.execute(found))
            self._silences = [silence for silence in read if silence is not None]
        return list(self._silences)

    def silence(self, number: int) -> Silence | None:
        """One silence, also one that is over."""
        row = self._connection.execute(select(silences).where(silences.c.id == number)).first()
        return None if row is None else self._silence(row)

    def end_silence(self, number: int, now: float) -> None:
        """Let a silence end now; what it held back is told by the timers."""
        self._silences = None
        self._connection.execute(silences.update().where(silences.c.id == number).values(ends=now))

    def set_stage(self, number: int, stage: int) -> None:
        """What was told of a silence."""
        self._silences = None
        self._connection.execute(silences.update().where(silences.c.id == number).values(stage=stage))

    def set_aside_silence(self, number: int) -> None:
        """What is due of this silence cannot be told: it is over."""
        self._corrupt_rows.note("silences", number)
        self.set_stage(number, _OVER)

    def add_subscription(self, subscription: Subscription) -> int:
        """Keep a subscription; its number."""
        return add_row(self._connection, _insert(subscriptions, subscription))

    def subscriptions(self) -> list[Subscription]:
        """All subscriptions, oldest first."""
        found = self._connection.execute(select(subscriptions).order_by(subscriptions.c.id))
        return [each for each in map(self._subscription, found) if each is not None]

    def end_subscription(self, number: int) -> None:
        """Forget a subscription."""
        self._connection.execute(subscriptions.delete().where(subscriptions.c.id == number))

    def put_digest(self, plan: DigestPlan) -> None:
        """Add or replace a room's digest."""
        values = asdict(plan)
        statement = insert_for(self._connection, digests).values(values)
        self._connection.execute(statement.on_conflict_do_update(index_elements=["room"], set_=values))

    def digest(self, room: str) -> DigestPlan | None:
        """A room's digest, None where it has none."""
        row = self._connection.execute(select(digests).where(digests.c.room == room)).first()
        return None if row is None else self._plan(row)

    def end_digest(self, room: str) -> None:
        """No digest for this room any more."""
        self._connection.execute(digests.delete().where(digests.c.room == room))

    def digests_due(self, now: float) -> list[DigestPlan]:
        """Digests whose time has come; to be asked where things may be changed."""
        found = select(digests).where(digests.c.next_at <= now).order_by(digests.c.room)
        read = [(row, self._plan(row)) for row in self._connection.execute(found)]
        for row in [row for row, plan in read if plan is None]:
            self.put_off_digest(row.room, now)  # else it would be due for ever
        return [plan for _, plan in read if plan is not None]

    def put_off_digest(self, room: str, now: float) -> None:
        """A plan that makes no sense is looked at again in a day."""
        self._corrupt_rows.note("digests", room)
        self._connection.execute(digests.update().where(digests.c.room == room).values(next_at=now + _DAY))

    def next_digest(self) -> float | None:
        """When the next digest is due."""
        return moment(self._connection, select(func.min(digests.c.next_at)))

    def forget(self, before: float, limit: int) -> int:
        """Drop at most `limit` silences that were over before; how many went."""
        old = select(silences.c.id).where(silences.c.stage == _OVER, silences.c.ends < before).limit(limit)
        return self._connection.execute(silences.delete().where(silences.c.id.in_(old))).rowcount

    def _silence(self, row: Row[Any]) -> Silence | None:
        def make() -> Silence:
            values = {name: getattr(row, name) for name in _SILENCE if name != "matchers"}
            return Silence(matchers=_matchers(row.matchers), **values)

        return self._corrupt_rows.read("silences", row.id, make)

    def _subscription(self, row: Row[Any]) -> Subscription | None:
        return self._corrupt_rows.read(
            "subscriptions",
            row.id,
            lambda: Subscription(row.room, _matchers(row.matchers), row.author, row.made, row.id),
        )

    def _plan(self, row: Row[Any]) -> DigestPlan | None:
        return self._corrupt_rows.read(
            "digests", row.room, lambda: DigestPlan(row.room, row.schedule, row.next_at, row.since)
        )


def _insert(table: Table, wish: Silence | Subscription) -> Insert:
    values: dict[str, Any] = {key: value for key, value in asdict(wish).items() if key != "id"}
    return table.insert().values({**values, "matchers": json.dumps(wish.matchers)})


@lru_cache(maxsize=1024)  # the same few in every transaction, and regular expressions are dear to read
def _matchers(text: str) -> tuple[str, ...]:
    """Matchers from their column; any error where they are damaged, or none that this version knows."""
    found = json.loads(text)
    if not isinstance(found, list):
        raise TypeError("matchers are no list")
    for each in found:
        read_matcher(each)
    return tuple(found)
