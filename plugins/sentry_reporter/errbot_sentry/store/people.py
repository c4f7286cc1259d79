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

    def put(self, acl: str, mail: str, now: float) -> None:
        """Keep an address, in place of an earlier one."""
        statement = insert_for(self._connection, people).values(acl=acl, mail=mail, at=now)
        self._connection.execute(
            statement.on_conflict_do_update(index_elements=["acl"], set_={"mail": mail, "at": now})
        )

    def drop(self, acl: str) -> bool:
        """Forget an address; whether there was one."""
        return self._connection.execute(delete(people).where(people.c.acl == acl)).rowcount > 0
