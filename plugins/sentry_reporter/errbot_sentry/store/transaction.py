"""One transaction, and through it the questions by subject."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

from sqlalchemy import Connection, text

from errbot_sentry.store.accounts_table import Accounts
from errbot_sentry.store.corrupt_rows import CorruptRows
from errbot_sentry.store.deferred_table import DeferredTable
from errbot_sentry.store.groups_table import Groups
from errbot_sentry.store.inbox_table import Inbox
from errbot_sentry.store.issues_table import Issues
from errbot_sentry.store.outbox_table import Outbox
from errbot_sentry.store.polls_table import Polls
from errbot_sentry.store.requests_table import RequestsTable


class Transaction:
    """What can be asked and changed inside one transaction."""

    def __init__(self, connection: Connection, corrupt_rows: CorruptRows) -> None:
        """`damage` is told of rows that cannot be read."""
        self._connection = connection
        self._corrupt_rows = corrupt_rows

    @cached_property
    def inbox(self) -> Inbox:
        """Alerts that came in, and what became of them."""
        return Inbox(self._connection, self._corrupt_rows)

    @cached_property
    def issues(self) -> Issues:
        """Issues as last known."""
        return Issues(self._connection, self._corrupt_rows)

    @cached_property
    def groups(self) -> Groups:
        """What each room was told."""
        return Groups(self._connection, self._corrupt_rows)

    @cached_property
    def deferred(self) -> DeferredTable:
        """First words that are held back."""
        return DeferredTable(self._connection, self._corrupt_rows)

    @cached_property
    def requests(self) -> RequestsTable:
        """What people asked for in chat: silences, subscriptions, digests."""
        return RequestsTable(self._connection, self._corrupt_rows)

    @cached_property
    def polls(self) -> Polls:
        """How far the poller has read."""
        return Polls(self._connection, self._corrupt_rows)

    @cached_property
    def outbox(self) -> Outbox:
        """Messages on their way to rooms."""
        return Outbox(self._connection, self._corrupt_rows)

    @cached_property
    def accounts(self) -> Accounts:
        """Who chat people are on the server."""
        return Accounts(self._connection, self._corrupt_rows)

    @contextmanager
    def part(self) -> Iterator[None]:
        """A part of this transaction that happens as a whole or, where it raises, not at all."""
        with self._connection.begin_nested():
            yield

    def alone(self, number: int) -> None:
        """Until the end of this transaction, no other bot on the same state is past this line with this number."""
        if self._connection.dialect.name == "postgresql":
            self._connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": number})
