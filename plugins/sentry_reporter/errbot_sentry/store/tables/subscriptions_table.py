"""Subscriptions: routes that people made in chat for a room."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Row, select

from errbot_sentry.store.records import Subscription
from errbot_sentry.store.schema import subscriptions
from errbot_sentry.store.statements import Queries, add_row, read_matchers


class SubscriptionsTable(Queries):
    """Queries about subscriptions."""

    def add(self, made: Subscription) -> int:
        """Store a subscription; its number."""
        values = {"room": made.room, "matchers": json.dumps(made.matchers), "author": made.author, "made": made.made}
        return add_row(self._connection, subscriptions.insert().values(values))

    def all(self) -> list[Subscription]:
        """All subscriptions, oldest first."""
        found = self._connection.execute(select(subscriptions).order_by(subscriptions.c.id))
        return [each for each in map(self._subscription, found) if each is not None]

    def remove(self, number: int) -> None:
        """Forget a subscription."""
        self._connection.execute(subscriptions.delete().where(subscriptions.c.id == number))

    def _subscription(self, row: Row[Any]) -> Subscription | None:
        return self._corrupt_rows.read(
            "subscriptions",
            row.id,
            lambda: Subscription(row.room, read_matchers(row.matchers), row.author, row.made, row.id),
        )
