"""Which account on the server a chat person has proved to be theirs."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, delete, select

from errbot_sentry.store.corrupt_rows import CorruptRows
from errbot_sentry.store.records import LinkedAccount
from errbot_sentry.store.schema import accounts
from errbot_sentry.store.sql_dialect import insert_for


class Accounts:
    """Questions about proved mail addresses, inside one transaction. `acl` is what Errbot's access rules match."""

    def __init__(self, connection: Connection, corrupt_rows: CorruptRows) -> None:
        self._connection = connection
        self._corrupt_rows = corrupt_rows

    def mail_of(self, acl: str) -> str | None:
        """The address of a person, None if none was proved."""
        row = self._connection.execute(select(accounts).where(accounts.c.acl == acl)).first()
        found = None if row is None else self._account(row)
        return None if found is None else found.mail

    def mention_of(self, mail: str) -> str:
        """How to call whoever proved this address last, "" for nobody: a person may have it under two names."""
        mine = accounts.c.mail == mail.lower(), accounts.c.mention != ""
        rows = self._connection.execute(
            select(accounts).where(*mine).order_by(accounts.c.at.desc(), accounts.c.acl).limit(9)
        )
        found = (self._account(row) for row in rows)
        return next((each.mention for each in found if each is not None), "")

    def _account(self, row: Row[Any]) -> LinkedAccount | None:
        return self._corrupt_rows.read("accounts", row.acl, lambda: LinkedAccount(row.acl, row.mail, row.mention))

    def put(self, acl: str, mail: str, now: float, mention: str = "") -> None:
        """Keep an address, in place of an earlier one, and how to call its owner in chat."""
        values = {"mail": mail, "at": now, "mention": mention}
        statement = insert_for(self._connection, accounts).values(acl=acl, **values)
        self._connection.execute(statement.on_conflict_do_update(index_elements=["acl"], set_=values))

    def drop(self, acl: str) -> bool:
        """Forget an address; whether there was one."""
        return self._connection.execute(delete(accounts).where(accounts.c.acl == acl)).rowcount > 0
