"""Single values by name, the same for all bots on one state: what clicks are signed with, what rooms are called."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import select

from errbot_sentry.store.schema import made_once
from errbot_sentry.store.statements import Queries, insert_for


class MadeOnceTable(Queries):
    """Queries about such values."""

    def find(self, name: str) -> str:
        """The value of this name, "" where there is none."""
        return self._connection.scalar(select(made_once.c.value).where(made_once.c.name == name)) or ""

    def put(self, name: str, value: str) -> None:
        """Set the value of this name."""
        new = insert_for(self._connection.dialect.name, made_once).values(name=name, value=value)
        self._connection.execute(new.on_conflict_do_update(index_elements=["name"], set_={"value": value}))

    def get(self, name: str, make: Callable[[], str]) -> str:
        """The value of this name, made now where there is none yet; needs a transaction that may write."""
        found = self._connection.scalar(select(made_once.c.value).where(made_once.c.name == name))
        if isinstance(found, str):
            return found
        made = insert_for(self._connection.dialect.name, made_once).values(name=name, value=make())
        self._connection.execute(made.on_conflict_do_nothing())  # another bot may have been quicker
        return str(self._connection.scalars(select(made_once.c.value).where(made_once.c.name == name)).one())
