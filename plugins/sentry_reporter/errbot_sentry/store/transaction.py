"""One transaction, and through it the queries by subject."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text

from errbot_sentry.domain.errors import StoreError
from errbot_sentry.store.chat_tables import AccountsTable, DigestsTable, SilencesTable, SubscriptionsTable
from errbot_sentry.store.corrupt_rows import CorruptRows
from errbot_sentry.store.fallbacks_table import FallbacksTable
from errbot_sentry.store.inbox_table import InboxTable
from errbot_sentry.store.made_once_table import MadeOnceTable
from errbot_sentry.store.outbox_table import OutboxTable
from errbot_sentry.store.room_tables import DeferredTable, GroupsTable
from errbot_sentry.store.server_tables import IssuesTable, PollsTable

log = logging.getLogger(__name__)


class Transaction:
    """What can be read and changed inside one transaction, by subject."""

    def __init__(self, connection: Connection, corrupt_rows: CorruptRows) -> None:
        """`corrupt_rows` counts the rows that cannot be read."""
        self._connection = connection
        self.inbox = InboxTable(connection, corrupt_rows)
        self.issues = IssuesTable(connection, corrupt_rows)
        self.groups = GroupsTable(connection, corrupt_rows)
        self.deferred = DeferredTable(connection, corrupt_rows)
        self.silences = SilencesTable(connection, corrupt_rows)
        self.subscriptions = SubscriptionsTable(connection, corrupt_rows)
        self.digests = DigestsTable(connection, corrupt_rows)
        self.polls = PollsTable(connection, corrupt_rows)
        self.outbox = OutboxTable(connection, corrupt_rows)
        self.fallbacks = FallbacksTable(connection, corrupt_rows)
        self.accounts = AccountsTable(connection, corrupt_rows)
        self.made_once = MadeOnceTable(connection, corrupt_rows)

    @contextmanager
    def part(self) -> Iterator[None]:
        """A part of this transaction that happens as a whole or, where it raises, not at all."""
        with self._connection.begin_nested():
            yield

    def apart(self, act: Callable[[], bool], set_aside: Callable[[], None]) -> bool:
        """Do one thing that is due; where that fails it is set aside, and nothing else waits for it."""
        try:
            with self.part():
                return act()
        except StoreError:
            raise
        except Exception:  # whatever fails is set aside, else it would be due for ever
            log.exception("something that was due failed and is set aside")
            set_aside()
            return False

    def alone(self, number: int) -> None:
        """Until the end of this transaction, no other bot on the same state is past this line with this number."""
        if self._connection.dialect.name == "postgresql":
            self._connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": number})

    def try_alone(self, number: int) -> bool:
        """The same, where no other bot is past such a line now; else False."""
        if self._connection.dialect.name != "postgresql":
            return True
        return bool(self._connection.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": number}))
