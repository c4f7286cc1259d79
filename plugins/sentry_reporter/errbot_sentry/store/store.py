"""The state: one engine, short transactions, and the questions that the flows ask of it.

The database library costs a good part of a second to import, so it is imported when the store is first used and not
when the bot loads the plugin.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from errbot_sentry.errors import StoreError
from errbot_sentry.locks import Lock
from errbot_sentry.store.damage import Damage
from errbot_sentry.store.single import Single
from errbot_sentry.store.turns import Turns

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from errbot_sentry.store.work import Work


class Store:
    """The state behind one SQLAlchemy URL. Safe to use from any thread.

    Every public method raises StoreError, and only that, when the database cannot do it.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine: Engine | None = None
        self._closed = False
        self._opening = Lock()
        self.damage = Damage()
        self._single = Single("")
        # SQLite takes one writer at a time; queueing here is quick, its own lock is waited for by sleeping.
        self._turns = Turns()

    @property
    def shared(self) -> bool:
        """Whether other bots may use the same state (PostgreSQL)."""
        return not self._url.startswith("sqlite")

    def open(self) -> None:
        """Connect and bring the tables up to date; done by the first use anyway. May be tried again after an error."""
        with self._opening:
            if self._closed:
                raise StoreError("The alert state is closed.")
            if self._engine is not None:
                return
            from errbot_sentry.store.engine import make_engine, mapped
            from errbot_sentry.store.migrations import migrate

            with mapped(self._url):
                engine = make_engine(self._url)
                try:
                    migrate(engine)
                    if engine.dialect.name == "sqlite":
                        self._single = Single(engine.url.database or "")
                        self._single.take()
                except BaseException:
                    engine.dispose()
                    raise
                self._engine = engine

    @contextmanager
    def write(self, *, urgent: bool = False) -> Iterator[Work]:
        """One transaction that may change things; it is on disk when this returns, or did not happen at all.

        An urgent one (somebody waits for its answer) goes before those that are not.
        """
        from errbot_sentry.store.engine import mapped
        from errbot_sentry.store.work import Work

        engine = self._ready()
        with mapped(self._url), self._turn(urgent=urgent), engine.begin() as connection:
            yield Work(connection, self.damage)

    @contextmanager
    def read(self) -> Iterator[Work]:
        """One transaction that sees a consistent state and changes nothing."""
        from errbot_sentry.store.engine import for_reading, mapped
        from errbot_sentry.store.work import Work

        engine = self._ready()
        with mapped(self._url), engine.connect() as connection:
            yield Work(for_reading(connection), self.damage)

    def close(self) -> None:
        """Give the connections back; later use raises StoreError."""
        with self._opening, self._turn(urgent=True):
            self._closed = True
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None
            self._single.release()

    def _ready(self) -> Engine:
        engine = self._engine
        if engine is None:
            self.open()
            engine = self._engine
        if engine is None:
            raise StoreError("The alert state is closed.")
        return engine

    @contextmanager
    def _turn(self, *, urgent: bool) -> Iterator[None]:
        if self.shared:
            yield
            return
        with self._turns.take(urgent=urgent):
            yield
