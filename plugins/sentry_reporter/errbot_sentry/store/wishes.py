"""What people asked for in chat: silences, subscriptions and digests."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Insert, Row, Table, func, select

from errbot_sentry.store.dialect import add_row, insert_for, moment
from errbot_sentry.store.rows import DigestPlan, Silence, Subscription
from errbot_sentry.store.tables import digests, silences, subscriptions

_OVER = 2


class Wishes:
    """Questions about silences, subscriptions and digests, inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._silences: list[Silence] | None = None

    def add_silence(self, silence: Silence) -> int:
        """Keep a silence; its number."""
        self._silences = None
        return add_row(self._connection, _insert(silences, silence))

    def silences(self) -> list[Silence]:
        """All silences that are not over, oldest first."""
        if self._silences is None:  # asked once per alert, the same in all of a transaction
            found = select(silences).where(silences.c.stage < _OVER).order_by(silences.c.id)
            self._silences = [_silence(row) for row in self._connection.execute(found)]
        return list(self._silences)

    def silence(self, number: int) -> Silence | None:
        """One silence, also one that is over."""
        row = self._connection.execute(select(silences).where(silences.c.id == number)).first()
        return None if row is None else _silence(row)

    def end_silence(self, number: int, now: float) -> None:
        """Let a silence end now; what it held back is told by the timers."""
        self._silences = None
        self._connection.execute(silences.update().where(silences.c.id == number).values(ends=now))

    def set_stage(self, number: int, stage: int) -> None:
        """What was told of a silence."""
        self._silences = None
        self._connection.execute(silences.update().where(silences.c.id == number).values(stage=stage))

    def add_subscription(self, subscription: Subscription) -> int:
        """Keep a subscription; its number."""
        return add_row(self._connection, _insert(subscriptions, subscription))

    def subscriptions(self) -> list[Subscription]:
        """All subscriptions, oldest first."""
        found = self._connection.execute(select(subscriptions).order_by(subscriptions.c.id))
        return [Subscription(row.room, tuple(json.loads(row.matchers)), row.author, row.made, row.id) for row in found]

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
        return None if row is None else _plan(row)

    def end_digest(self, room: str) -> None:
        """No digest for this room any more."""
        self._connection.execute(digests.delete().where(digests.c.room == room))

    def digests_due(self, now: float) -> list[DigestPlan]:
        """Digests whose time has come."""
        found = select(digests).where(digests.c.next_at <= now).order_by(digests.c.room)
        return [_plan(row) for row in self._connection.execute(found)]

    def next_digest(self) -> float | None:
        """When the next digest is due."""
        return moment(self._connection, select(func.min(digests.c.next_at)))

    def forget(self, before: float, limit: int) -> int:
        """Drop at most `limit` silences that were over before; how many went."""
        old = select(silences.c.id).where(silences.c.stage == _OVER, silences.c.ends < before).limit(limit)
        return self._connection.execute(silences.delete().where(silences.c.id.in_(old))).rowcount


def _insert(table: Table, wish: Silence | Subscription) -> Insert:
    values: dict[str, Any] = {key: value for key, value in asdict(wish).items() if key != "id"}
    return table.insert().values({**values, "matchers": json.dumps(wish.matchers)})


def _silence(row: Row[Any]) -> Silence:
    return Silence(
        room=row.room,
        matchers=tuple(json.loads(row.matchers)),
        issue=row.issue,
        label=row.label,
        author=row.author,
        comment=row.comment,
        made=row.made,
        ends=row.ends,
        stage=row.stage,
        id=row.id,
    )


def _plan(row: Row[Any]) -> DigestPlan:
    return DigestPlan(row.room, row.schedule, row.next_at, row.since)
