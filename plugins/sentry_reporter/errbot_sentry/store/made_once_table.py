"""Single values by name, shared by all bots on one database: what signs clicks, what the network calls rooms."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import select

from errbot_sentry.store.schema import made_once
from errbot_sentry.store.statements import Queries, insert_for


class MadeOnceTable(Queries):
    """Queries about these values, by name."""

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
