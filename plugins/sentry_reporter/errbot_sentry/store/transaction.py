"""One database transaction, which gives access to the queries of each table."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, text

from errbot_sentry.domain.errors import StoreError
from errbot_sentry.store.chat_tables import (
    AccountsTable,
    DigestsTable,
    MadeOnceTable,
    SilencesTable,
    SubscriptionsTable,
)
from errbot_sentry.store.corrupt_rows import CorruptRows
from errbot_sentry.store.database import KEEP_ALERTS, KEEP_GROUPS, KEEP_ISSUES, KEEP_MESSAGES, LOCK_LANES
from errbot_sentry.store.fallbacks_table import FallbacksTable
from errbot_sentry.store.inbox_table import InboxTable
from errbot_sentry.store.outbox_table import EditsTable, OutboxTable
from errbot_sentry.store.records import Delivery
from errbot_sentry.store.room_tables import DeferredTable, GroupsTable
from errbot_sentry.store.server_tables import IssuesTable, PollsTable

log = logging.getLogger(__name__)

_FORGOTTEN_AT_ONCE = 500  # rows of one table

_LOCK_EXCLUSIVE = text("SELECT pg_advisory_xact_lock(:key)")
_TRY_SHARED = text("SELECT pg_try_advisory_xact_lock_shared(:key)")
# PostgreSQL does not sort the rows of either query, so the locks are taken in the order of the list, and the second
# query stops at its limit.
_LOCK_ALL = text("SELECT pg_advisory_xact_lock(key) FROM unnest(CAST(:keys AS bigint[])) AS key")
_TRY_LANES = text(
    "SELECT lane FROM unnest(CAST(:lanes AS int[])) AS lane WHERE pg_try_advisory_xact_lock(:first + lane) LIMIT :most"
)


class Transaction:
    """The queries of one transaction, one attribute for each table, and the locks that bots share."""

    def __init__(self, connection: Connection, corrupt_rows: CorruptRows) -> None:
        """`corrupt_rows` counts the rows that cannot be read."""
        self._connection = connection
        self._shared = connection.dialect.name == "postgresql"
        self.inbox = InboxTable(connection, corrupt_rows)
        self.issues = IssuesTable(connection, corrupt_rows)
        self.groups = GroupsTable(connection, corrupt_rows)
        self.deferred = DeferredTable(connection, corrupt_rows)
        self.silences = SilencesTable(connection, corrupt_rows)
        self.subscriptions = SubscriptionsTable(connection, corrupt_rows)
        self.digests = DigestsTable(connection, corrupt_rows)
        self.polls = PollsTable(connection, corrupt_rows)
        self.outbox = OutboxTable(connection, corrupt_rows)
        self.edits = EditsTable(connection, corrupt_rows)
        self.fallbacks = FallbacksTable(connection, corrupt_rows)
        self.accounts = AccountsTable(connection, corrupt_rows)
        self.made_once = MadeOnceTable(connection, corrupt_rows)

    @contextmanager
    def part(self) -> Iterator[None]:
        """A savepoint: if the block raises, its changes are undone, and the rest of the transaction stays."""
        with self._connection.begin_nested():
            yield

    def apart(self, act: Callable[[], bool], set_aside: Callable[[], None]) -> bool:
        """Do one thing that is due. If `act` fails, undo it and call `set_aside`, so that nothing waits behind it."""
        try:
            with self.part():
                return act()
        except StoreError:
            raise
        except Exception:  # if it were not set aside, it would stay due and fail for ever
            log.exception("a due task failed and is set aside")
            set_aside()
            return False

    def forget_some(self, now: float) -> bool:
        """Delete some rows that are older than their time; returns whether there may be more to delete.

        Small steps, so that nobody waits for it.
        """
        most = _FORGOTTEN_AT_ONCE
        deleted = (
            self.inbox.forget(now - KEEP_ALERTS, most),
            self.outbox.forget(now - KEEP_MESSAGES, most),
            self.groups.forget(now - KEEP_GROUPS, most),
            self.issues.forget(now - KEEP_ISSUES, most),
            self.silences.forget(now - KEEP_ALERTS, most),
        )
        self.fallbacks.forget()
        self.edits.forget()
        return any(count >= most for count in deleted)

    # Locks among bots on one PostgreSQL database; each lasts until this transaction ends. SQLite has one writer anyway.

    def alone(self, number: int) -> None:
        """Take this lock exclusively, and wait for it if another bot has it in either way."""
        if self._shared:
            self._connection.execute(_LOCK_EXCLUSIVE, {"key": number})

    def try_beside(self, number: int) -> bool:
        """Share this lock with other bots; False if one has it exclusively, or waits for that."""
        return not self._shared or bool(self._connection.scalar(_TRY_SHARED, {"key": number}))

    def alone_with(self, deliveries: Iterable[Delivery]) -> None:
        """Wait until no other bot is storing a delivery that has a key in common with these."""
        if self._shared:
            keys = {key.text.encode("utf-8", "replace") for delivery in deliveries for key in delivery.keys}
            numbers = [int.from_bytes(hashlib.sha256(key).digest()[:8], "big", signed=True) for key in keys]
            self._connection.execute(_LOCK_ALL, {"keys": sorted(numbers)})  # sorted, so that no two wait for each other

    def try_lanes(self, lanes: Sequence[int], most: int) -> list[int]:
        """Lock the first `most` of these lanes that no other bot has, without waiting; returns those lanes."""
        wanted = {"first": LOCK_LANES, "lanes": list(lanes), "most": most}
        return list(self._connection.scalars(_TRY_LANES, wanted)) if self._shared else list(lanes[:most])
