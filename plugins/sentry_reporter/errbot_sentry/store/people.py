"""Which account on the server a chat person has proved to be theirs."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select

from errbot_sentry.store.dialect import insert_for
from errbot_sentry.store.tables import people


class People:
    """Questions about proved mail addresses, inside one transaction. `acl` is what Errbot's access rules match."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def mail_of(self, acl: str) -> str | None:
        """The address of a person, None if none was proved."""
        found: str | None = self._connection.scalar(select(people.c.mail).where(people.c.acl == acl))
        return found

    def mention_of(self, mail: str) -> str:
        """How to call whoever proved this address last, "" for nobody: a person may have it under two names."""
        mine = people.c.mail == mail.lower(), people.c.mention != ""
        found = select(people.c.mention).where(*mine).order_by(people.c.at.desc(), people.c.acl).limit(1)
        return self._connection.scalar(found) or ""

    def put(self, acl: str, mail: str, now: float, mention: str = "") -> None:
        """Keep an address, in place of an earlier one, and how to call its owner in chat."""
        values = {"mail": mail, "at": now, "mention": mention}
        statement = insert_for(self._connection, people).values(acl=acl, **values)
        self._connection.execute(statement.on_conflict_do_update(index_elements=["acl"], set_=values))

    def drop(self, acl: str) -> bool:
        """Forget an address; whether there was one."""
        return self._connection.execute(delete(people).where(people.c.acl == acl)).rowcount > 0
