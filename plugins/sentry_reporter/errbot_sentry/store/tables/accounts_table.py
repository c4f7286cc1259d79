"""Which account on the server a chat person has proved to be theirs."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, delete, select

from errbot_sentry.store.records import LinkedAccount
from errbot_sentry.store.schema import accounts
from errbot_sentry.store.statements import Queries, upsert


class AccountsTable(Queries):
    """Queries about proved mail addresses. `acl` is what Errbot's access rules match."""

    def mail_of(self, acl: str) -> str | None:
        """The address of a person, None if none was proved."""
        row = self._connection.execute(select(accounts).where(accounts.c.acl == acl)).first()
        found = None if row is None else self._account(row)
        return None if found is None else found.mail

    def mention_of(self, mail: str) -> str:
        """How to mention whoever proved this address last, "" for nobody: a person may have it under two names."""
        mine = accounts.c.mail == mail.lower(), accounts.c.mention != ""
        rows = self._connection.execute(
            select(accounts).where(*mine).order_by(accounts.c.at.desc(), accounts.c.acl).limit(9)
        )
        found = (self._account(row) for row in rows)
        return next((each.mention for each in found if each is not None), "")

    def _account(self, row: Row[Any]) -> LinkedAccount | None:
        return self._corrupt_rows.read("accounts", row.acl, lambda: LinkedAccount(row.acl, row.mail, row.mention))

    def put(self, acl: str, mail: str, now: float, mention: str = "") -> None:
        """Store an address, in place of an earlier one, and how to mention its owner in chat."""
        values = {"acl": acl, "mail": mail, "at": now, "mention": mention}
        self._connection.execute(upsert(self._connection, accounts), values)

    def drop(self, acl: str) -> bool:
        """Forget an address; whether there was one."""
        return self._connection.execute(delete(accounts).where(accounts.c.acl == acl)).rowcount > 0
