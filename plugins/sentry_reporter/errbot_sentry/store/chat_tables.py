"""What people set up in chat: silences, subscriptions, digests, linked accounts; and random values that bots share."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, func, or_, select

from errbot_sentry.domain.identifiers import small
from errbot_sentry.domain.json_values import LATEST
from errbot_sentry.store.corrupt_rows import CorruptRows
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

_ENDED = 2  # the last stage of a silence
_DAY = 86_400.0


class SilencesTable(Queries):
    """Queries about silences."""

    def __init__(self, connection: Connection, corrupt_rows: CorruptRows) -> None:
        super().__init__(connection, corrupt_rows)
        self._present: list[Silence] | None = None

    def add(self, silence: Silence) -> int:
        """Store a silence; returns its id."""
        self._present = None
        values = {key: value for key, value in silence.__dict__.items() if key != "id"}
        return add_row(self._connection, silences.insert().values({**values, "matchers": json.dumps(silence.matchers)}))

    def present(self) -> list[Silence]:
        """All silences that have not ended, oldest first."""
        if self._present is None:  # every alert needs them, and they stay the same within a transaction
            # Greater stages are read too: SQLite sorts a stage that is not a number there, and it counts as corrupt.
            not_ended = or_(silences.c.stage < _ENDED, silences.c.stage > _ENDED)
            self._present = self._all(select(silences).where(not_ended).order_by(silences.c.id), self._silence)
        return list(self._present)

    def get(self, number: int) -> Silence | None:
        """One silence, even if it has ended; None if there is none with this id."""
        return self._first(select(silences).where(silences.c.id == number), self._silence)

    def end(self, number: int, now: float) -> None:
        """End a silence now; the scheduler then sends a notice that lists what it silenced."""
        self._set(number, ends=now)

    def set_stage(self, number: int, stage: int) -> None:
        """Store which message was sent last about a silence (see `Silence.stage`)."""
        self._set(number, stage=stage)

    def set_aside(self, number: int) -> None:
        """Count this silence as corrupt and end it, since no message about it can be made."""
        self._corrupt_rows.note("silences", number)
        self.set_stage(number, _ENDED)

    def forget(self, before: float, limit: int) -> int:
        """Delete at most `limit` silences that ended before this time; returns how many were deleted."""
        return self._forget(silences, limit, silences.c.stage == _ENDED, silences.c.ends < before)

    def _set(self, number: int, **values: float) -> None:
        self._present = None
        self._connection.execute(silences.update().where(silences.c.id == number).values(values))

    def _silence(self, row: Row[Any]) -> Silence | None:
        return self._record(Silence, silences, row, matchers=read_matchers)


class SubscriptionsTable(Queries):
    """Queries about subscriptions: routes that people made for a room."""

    def add(self, made: Subscription) -> int:
        """Store a subscription; returns its id."""
        values = {"room": made.room, "matchers": json.dumps(made.matchers), "author": made.author, "made": made.made}
        return add_row(self._connection, subscriptions.insert().values(values))

    def all(self) -> list[Subscription]:
        """All subscriptions, oldest first."""
        read = partial(self._record, Subscription, subscriptions, matchers=read_matchers)
        return self._all(select(subscriptions).order_by(subscriptions.c.id), read)

    def remove(self, number: int) -> None:
        """Delete a subscription."""
        self._connection.execute(subscriptions.delete().where(subscriptions.c.id == number))


class DigestsTable(Queries):
    """Queries about digests: which rooms get one, and when the next is due."""

    def put(self, plan: DigestPlan) -> None:
        """Add or replace a room's digest."""
        self._put(digests, [plan])

    def get(self, room: str) -> DigestPlan | None:
        """A room's digest, None if it has none."""
        return self._first(select(digests).where(digests.c.room == room), partial(self._record, DigestPlan, digests))

    def remove(self, room: str) -> None:
        """Delete a room's digest."""
        self._connection.execute(digests.delete().where(digests.c.room == room))

    def due(self, now: float) -> list[DigestPlan]:
        """Digests whose time has come. Needs a transaction that may write, since it postpones corrupt rows."""
        query = select(digests).where(is_due(digests.c.next_at, now, LATEST)).order_by(digests.c.room)
        plans = []
        for row in self._connection.execute(query).all():
            plan = self._record(DigestPlan, digests, row)
            if plan is None:
                self.put_off(row.room, now)  # otherwise it would stay due for ever
            else:
                plans.append(plan)
        return plans

    def put_off(self, room: str, now: float) -> None:
        """Count a room's plan as corrupt, and look at it again in a day."""
        self._corrupt_rows.note("digests", room)
        self._connection.execute(digests.update().where(digests.c.room == room).values(next_at=now + _DAY))

    def next_due(self) -> float | None:
        """When the next digest is due; None if there is none."""
        return next_due(self._connection, select(func.min(digests.c.next_at)))


class AccountsTable(Queries):
    """Queries about linked accounts: people with a proved mail address. `acl` is what Errbot's access rules match."""

    def mail_of(self, acl: str) -> str | None:
        """The address of a person, None if none was proved."""
        account = next(iter(self._where(accounts.c.acl == acl)), None)
        return None if account is None else account.mail

    def at_address(self, address: str) -> LinkedAccount | None:
        """The linked person who gets direct messages at this address; None if nobody is linked with it."""
        return next(iter(self._where(accounts.c.address == address, accounts.c.address != "")), None)

    def addressed(self) -> list[LinkedAccount]:
        """All linked people who can get direct messages."""
        return self._where(accounts.c.address != "")

    def set_address(self, acl: str, address: str) -> bool:
        """Store where a linked person gets direct messages; False if nobody is linked with this `acl`."""
        # The same address under another `acl` is the same person under an earlier name. Only the last link counts.
        earlier = accounts.update().where(accounts.c.address == address, accounts.c.acl != acl)
        self._connection.execute(earlier.values(address=""))
        present = accounts.update().where(accounts.c.acl == acl).values(address=address)
        return self._connection.execute(present).rowcount > 0

    def set_teams(self, acl: str, teams: Sequence[str]) -> None:
        """Store the slugs of a person's teams on the server."""
        account = accounts.update().where(accounts.c.acl == acl)
        self._connection.execute(account.values(teams=json.dumps(list(teams))))

    def mention_of(self, mail: str) -> str:
        """How to mention the person with this mail address, "" if nobody has it. The last one linked counts."""
        linked = self._where(accounts.c.mail == small(mail), accounts.c.mention != "")
        return next((account.mention for account in linked), "")

    def _where(self, *conditions: ColumnElement[bool]) -> list[LinkedAccount]:
        """The accounts that meet all conditions, the one linked last first."""
        query = select(accounts).where(*conditions).order_by(accounts.c.at.desc(), accounts.c.acl)
        return self._all(query, partial(self._record, LinkedAccount, accounts, teams=read_texts))

    def put(self, acl: str, mail: str, now: float, mention: str = "", address: str = "") -> None:
        """Link a person with a mail address. `mention` and `address` say how to mention and how to reach them in chat.

        This replaces an earlier address of this `acl`.
        """
        values = {"acl": acl, "mail": mail, "at": now, "mention": mention, "address": "", "teams": "[]"}
        self._connection.execute(upsert(self._connection.dialect.name, accounts), values)
        self.set_address(acl, address)

    def drop(self, acl: str) -> bool:
        """Delete a linked account; returns whether there was one."""
        return self._connection.execute(delete(accounts).where(accounts.c.acl == acl)).rowcount > 0


class MadeOnceTable(Queries):
    """Queries about random values, by name, such as the key that signs clicks.

    Each is generated once and shared by all bots on one database.
    """

    def find(self, name: str) -> str:
        """The value of this name, or "" if there is none."""
        found = self._connection.scalar(select(made_once.c.value).where(made_once.c.name == name))
        return found if isinstance(found, str) else ""

    def put(self, name: str, value: str) -> None:
        """Set the value of this name. Needs a transaction that may write."""
        statement = insert_for(self._connection.dialect.name, made_once).values(name=name, value=value)
        self._connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": value}))

    def get(self, name: str, make: Callable[[], str]) -> str:
        """The value of this name, generated now if there is none yet. Needs a transaction that may write."""
        present = self._connection.scalar(select(made_once.c.value).where(made_once.c.name == name))
        if isinstance(present, str):
            return present
        statement = insert_for(self._connection.dialect.name, made_once).values(name=name, value=make())
        self._connection.execute(statement.on_conflict_do_nothing())  # another bot may have been quicker
        return str(self._connection.scalars(select(made_once.c.value).where(made_once.c.name == name)).one())
