"""What belongs to chat: silences, subscriptions, digests, linked accounts, and what clicks are signed with."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, func, or_, select

from errbot_sentry.store.corrupt_rows import LATEST, CorruptRows
from errbot_sentry.store.records import DigestPlan, LinkedAccount, Silence, Subscription
from errbot_sentry.store.schema import accounts, digests, made_once, silences, subscriptions
from errbot_sentry.store.statements import (
    Queries,
    add_row,
    insert_for,
    is_due,
    next_due,
    read_matchers,
    read_texts,
    upsert,
)

_OVER = 2  # the last stage of a silence
_DAY = 86_400.0


class SilencesTable(Queries):
    """Queries about silences."""

    def __init__(self, connection: Connection, corrupt_rows: CorruptRows) -> None:
        super().__init__(connection, corrupt_rows)
        self._present: list[Silence] | None = None

    def add(self, silence: Silence) -> int:
        """Store a silence; its number."""
        self._present = None
        values = {key: value for key, value in silence.__dict__.items() if key != "id"}
        return add_row(self._connection, silences.insert().values({**values, "matchers": json.dumps(silence.matchers)}))

    def present(self) -> list[Silence]:
        """All silences that are not over, oldest first."""
        if self._present is None:  # needed once per alert, and the same in all of a transaction
            # Not only what is below: a stage that is no number is read too, and counted as corrupt.
            not_over = or_(silences.c.stage < _OVER, silences.c.stage > _OVER)
            self._present = self._all(select(silences).where(not_over).order_by(silences.c.id), self._silence)
        return list(self._present)

    def get(self, number: int) -> Silence | None:
        """One silence, also one that is over."""
        return self._first(select(silences).where(silences.c.id == number), self._silence)

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
        return self._forget(silences, limit, silences.c.stage == _OVER, silences.c.ends < before)

    def _set(self, number: int, **values: float) -> None:
        self._present = None
        self._connection.execute(silences.update().where(silences.c.id == number).values(values))

    def _silence(self, row: Row[Any]) -> Silence | None:
        return self._record(Silence, silences, row, matchers=read_matchers)


class SubscriptionsTable(Queries):
    """Queries about subscriptions: routes that people made for a room."""

    def add(self, made: Subscription) -> int:
        """Store a subscription; its number."""
        values = {"room": made.room, "matchers": json.dumps(made.matchers), "author": made.author, "made": made.made}
        return add_row(self._connection, subscriptions.insert().values(values))

    def all(self) -> list[Subscription]:
        """All subscriptions, oldest first."""
        read = partial(self._record, Subscription, subscriptions, matchers=read_matchers)
        return self._all(select(subscriptions).order_by(subscriptions.c.id), read)

    def remove(self, number: int) -> None:
        """Forget a subscription."""
        self._connection.execute(subscriptions.delete().where(subscriptions.c.id == number))


class DigestsTable(Queries):
    """Queries about digests: which rooms get one, and when the next is due."""

    def put(self, plan: DigestPlan) -> None:
        """Add or replace a room's digest."""
        self._put(digests, [plan])

    def get(self, room: str) -> DigestPlan | None:
        """A room's digest, None where it has none."""
        return self._first(select(digests).where(digests.c.room == room), partial(self._record, DigestPlan, digests))

    def remove(self, room: str) -> None:
        """No digest for this room any more."""
        self._connection.execute(digests.delete().where(digests.c.room == room))

    def due(self, now: float) -> list[DigestPlan]:
        """Digests whose time has come; only for a transaction that may write."""
        found = select(digests).where(is_due(digests.c.next_at, now, LATEST)).order_by(digests.c.room)
        plans = []
        for row in self._connection.execute(found).all():
            plan = self._record(DigestPlan, digests, row)
            if plan is None:
                self.put_off(row.room, now)  # else it would be due for ever
            else:
                plans.append(plan)
        return plans

    def put_off(self, room: str, now: float) -> None:
        """Look at a plan that makes no sense again in a day."""
        self._corrupt_rows.note("digests", room)
        self._connection.execute(digests.update().where(digests.c.room == room).values(next_at=now + _DAY))

    def next_due(self) -> float | None:
        """When the next digest is due; None where there is none."""
        return next_due(self._connection, select(func.min(digests.c.next_at)))


class AccountsTable(Queries):
    """Queries about proved mail addresses. `acl` is what Errbot's access rules match."""

    def mail_of(self, acl: str) -> str | None:
        """The address of a person, None if none was proved."""
        found = next(iter(self._found(accounts.c.acl == acl)), None)
        return None if found is None else found.mail

    def at_address(self, address: str) -> LinkedAccount | None:
        """The linked person whom direct messages reach there; None where nobody is linked, or no longer."""
        return next(iter(self._found(accounts.c.address == address, accounts.c.address != "")), None)

    def addressed(self) -> list[LinkedAccount]:
        """All linked people whom direct messages reach."""
        return self._found(accounts.c.address != "")

    def set_address(self, acl: str, address: str) -> bool:
        """Note where direct messages reach a linked person; False where nobody is linked by this name."""
        # Somebody who has another name by now is one person still: only the last link counts.
        before = accounts.update().where(accounts.c.address == address, accounts.c.acl != acl)
        self._connection.execute(before.values(address=""))
        mine = accounts.update().where(accounts.c.acl == acl).values(address=address)
        return self._connection.execute(mine).rowcount > 0

    def set_teams(self, acl: str, teams: Sequence[str]) -> None:
        """Note a person's teams on the server."""
        mine = accounts.update().where(accounts.c.acl == acl)
        self._connection.execute(mine.values(teams=json.dumps(list(teams))))

    def mention_of(self, mail: str) -> str:
        """How to mention whoever proved this address last, "" for nobody: a person may have it under two names."""
        found = self._found(accounts.c.mail == mail.lower(), accounts.c.mention != "")
        return next((each.mention for each in found), "")

    def _found(self, *conditions: ColumnElement[bool]) -> list[LinkedAccount]:
        """The accounts for which this holds, the one linked last first."""
        found = select(accounts).where(*conditions).order_by(accounts.c.at.desc(), accounts.c.acl)
        return self._all(found, partial(self._record, LinkedAccount, accounts, teams=read_texts))

    def put(self, acl: str, mail: str, now: float, mention: str = "", address: str = "") -> None:
        """Store a mail address, in place of an earlier one, and how to mention and to reach its owner in chat."""
        values = {"acl": acl, "mail": mail, "at": now, "mention": mention, "address": "", "teams": "[]"}
        self._connection.execute(upsert(self._connection.dialect.name, accounts), values)
        self.set_address(acl, address)

    def drop(self, acl: str) -> bool:
        """Forget an address; whether there was one."""
        return self._connection.execute(delete(accounts).where(accounts.c.acl == acl)).rowcount > 0


class MadeOnceTable(Queries):
    """Queries about random values that are made once, and are the same for all bots on one state."""

    def get(self, name: str, make: Callable[[], str]) -> str:
        """The value of this name, made now where there is none yet; needs a transaction that may write."""
        found = self._connection.scalar(select(made_once.c.value).where(made_once.c.name == name))
        if isinstance(found, str):
            return found
        made = insert_for(self._connection.dialect.name, made_once).values(name=name, value=make())
        self._connection.execute(made.on_conflict_do_nothing())  # another bot may have been quicker
        return str(self._connection.scalars(select(made_once.c.value).where(made_once.c.name == name)).one())
