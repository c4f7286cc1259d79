"""One transaction, and through it the queries by subject."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, text

from errbot_sentry.domain.errors import StoreError
from errbot_sentry.store.chat_tables import AccountsTable, DigestsTable, SilencesTable, SubscriptionsTable
from errbot_sentry.store.corrupt_rows import CorruptRows
from errbot_sentry.store.database import LOCK_LANES
from errbot_sentry.store.fallbacks_table import FallbacksTable
from errbot_sentry.store.inbox_table import InboxTable
from errbot_sentry.store.made_once_table import MadeOnceTable
from errbot_sentry.store.outbox_table import EditsTable, OutboxTable
from errbot_sentry.store.records import Delivery
from errbot_sentry.store.room_tables import DeferredTable, GroupsTable
from errbot_sentry.store.server_tables import IssuesTable, PollsTable

log = logging.getLogger(__name__)

_ALONE = text("SELECT pg_advisory_xact_lock(:key)")
_TRY_BESIDE = text("SELECT pg_try_advisory_xact_lock_shared(:key)")
# Both take the locks in the order of the list, and the second no more than it may: the database sorts nothing here.
_ALONE_WITH = text("SELECT pg_advisory_xact_lock(key) FROM unnest(CAST(:keys AS bigint[])) AS key")
_TRY_LANES = text(
    "SELECT lane FROM unnest(CAST(:lanes AS int[])) AS lane WHERE pg_try_advisory_xact_lock(:first + lane) LIMIT :most"
)


class Transaction:
    """What can be read and changed inside one transaction, by subject."""

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

    # Each of the following is true until the end of this transaction. SQLite has one writer anyway.

    def alone(self, number: int) -> None:
        """No other bot on the same state is past this line with this number, nor `beside` others with it."""
        if self._shared:
            self._connection.execute(_ALONE, {"key": number})

    def try_beside(self, number: int) -> bool:
        """No other bot is `alone` with this number; False where one is, or waits to be."""
        return not self._shared or bool(self._connection.scalar(_TRY_BESIDE, {"key": number}))

    def alone_with(self, deliveries: Iterable[Delivery]) -> None:
        """No other bot is past this line with a delivery of which any key is the same."""
        if self._shared:
            keys = {key.text.encode("utf-8", "replace") for each in deliveries for key in each.keys}
            numbers = [int.from_bytes(hashlib.sha256(key).digest()[:8], "big", signed=True) for key in keys]
            self._connection.execute(_ALONE_WITH, {"keys": sorted(numbers)})  # sorted: no two wait for each other

    def try_lanes(self, lanes: Sequence[int], most: int) -> list[int]:
        """At most so many of these lanes, the first ones that are free: no other bot has them."""
        taken = {"first": LOCK_LANES, "lanes": list(lanes), "most": most}
        return list(self._connection.scalars(_TRY_LANES, taken)) if self._shared else list(lanes[:most])
