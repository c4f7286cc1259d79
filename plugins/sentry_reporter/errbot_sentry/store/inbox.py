"""Alerts that came in: kept before the webhook is answered, decided once, shown by `!sentry alerts`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict

from sqlalchemy import Connection, and_, func, select

from errbot_sentry.model import Alert
from errbot_sentry.store.dialect import add_row, insert_for, is_due, moment
from errbot_sentry.store.rows import DecidedAlert, Decision, DeliveryKey, WaitingAlert, alert_from_text, alert_to_text
from errbot_sentry.store.tables import alerts, decisions, deliveries

_WAITING, _DECIDED = "waiting", "decided"


class Inbox:
    """Questions about alerts, inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def is_first_delivery(self, keys: Iterable[DeliveryKey], now: float) -> bool:
        """Record these keys; False as soon as one was known already: the delivery is a replay."""
        return all(self._claim(key, now) for key in keys)

    def _claim(self, key: DeliveryKey, now: float) -> bool:
        # One statement, so that two bots that get the same delivery at once cannot both be first.
        base = insert_for(self._connection, deliveries).values(key=key.text, at=now)
        if key.span is None:
            statement = base.on_conflict_do_nothing(index_elements=["key"])
        else:
            statement = base.on_conflict_do_update(
                index_elements=["key"], set_={"at": now}, where=deliveries.c.at <= now - key.span
            )
        return self._connection.execute(statement.returning(deliveries.c.key)).first() is not None

    def add(self, alert: Alert, now: float) -> int:
        """Keep an alert to be decided; its number."""
        statement = alerts.insert().values(
            state=_WAITING, next_try=now, tries=0, received=now, body=alert_to_text(alert)
        )
        return add_row(self._connection, statement)

    def waiting(self, now: float, limit: int) -> list[WaitingAlert]:
        """Alerts to be decided now, those due longest first."""
        found = self._connection.execute(
            select(alerts.c.id, alerts.c.body, alerts.c.received, alerts.c.tries)
            .where(alerts.c.state == _WAITING, is_due(alerts.c.next_try, now))
            .order_by(alerts.c.next_try, alerts.c.id)
            .limit(limit)
        )
        return [WaitingAlert(row.id, alert_from_text(row.body), row.received, row.tries) for row in found]

    def still_waiting(self, ids: Sequence[int]) -> set[int]:
        """Which of these nobody has decided yet."""
        return set(
            self._connection.scalars(select(alerts.c.id).where(alerts.c.id.in_(ids), alerts.c.state == _WAITING))
        )

    def next_due(self) -> float | None:
        """When the next alert is to be looked at; None where none is waiting."""
        return moment(self._connection, select(func.min(alerts.c.next_try)).where(alerts.c.state == _WAITING))

    def put_off(self, alert_id: int, next_try: float) -> None:
        """Look at this alert again later: something that it needs cannot be had now."""
        self._connection.execute(
            alerts.update().where(alerts.c.id == alert_id).values(next_try=next_try, tries=alerts.c.tries + 1)
        )

    def decide(self, alert_id: int, alert: Alert, made: Sequence[Decision], now: float) -> None:
        """The alert, as it was understood, is done with; what became of it is kept."""
        self._connection.execute(
            alerts.update().where(alerts.c.id == alert_id).values(state=_DECIDED, body=alert_to_text(alert))
        )
        if made:
            rows = [{**asdict(each), "at": now} for each in made]
            self._connection.execute(decisions.insert(), rows)

    def decided(
        self, room: str, limit: int, names: Iterable[str] = (), before: int | None = None
    ) -> list[DecidedAlert]:
        """The latest decisions for one room, newest first; `names` keeps only those reasons."""
        wanted = [decisions.c.room == room]
        if names:
            wanted.append(decisions.c.name.in_(list(names)))
        if before is not None:
            wanted.append(decisions.c.id < before)
        found = self._connection.execute(
            select(decisions, alerts.c.body, alerts.c.received)
            .join(alerts, alerts.c.id == decisions.c.alert_id)
            .where(and_(*wanted))
            .order_by(decisions.c.id.desc())
            .limit(limit)
        )
        return [
            DecidedAlert(alert_from_text(row.body), row.received, row.room, row.name, row.detail, row.at)
            for row in found
        ]

    def get(self, alert_ids: Sequence[int]) -> dict[int, Alert]:
        """Those of these alerts that are still kept."""
        found = self._connection.execute(select(alerts.c.id, alerts.c.body).where(alerts.c.id.in_(alert_ids)))
        return {row.id: alert_from_text(row.body) for row in found}

    def tally(self, room: str, since: float, until: float) -> list[tuple[float, str, str, str]]:
        """What became of a room's alerts in a span of time, oldest first: (time, name, reason, issue)."""
        found = self._connection.execute(
            select(decisions.c.at, decisions.c.name, decisions.c.reason, decisions.c.issue)
            .where(decisions.c.room == room, decisions.c.at >= since, decisions.c.at < until)
            .order_by(decisions.c.at)
        )
        return [(row.at, row.name, row.reason, row.issue) for row in found]

    def counts(self) -> dict[str, int]:
        """How many decisions of each name are kept."""
        found = self._connection.execute(select(decisions.c.name, func.count()).group_by(decisions.c.name))
        return {row[0]: row[1] for row in found}

    def waiting_count(self) -> tuple[int, float | None]:
        """How many alerts are undecided, and since when the oldest is."""
        row = self._connection.execute(
            select(func.count(), func.min(alerts.c.received)).where(alerts.c.state == _WAITING)
        ).one()
        return row[0], row[1]

    def forget(self, before: float, limit: int) -> int:
        """Drop deliveries, decisions and decided alerts older than this, at most `limit` of each; how many went."""
        gone = 0
        old_keys = select(deliveries.c.key).where(deliveries.c.at < before).limit(limit)
        gone += self._connection.execute(deliveries.delete().where(deliveries.c.key.in_(old_keys))).rowcount
        old_decisions = select(decisions.c.id).where(decisions.c.at < before).limit(limit)
        gone += self._connection.execute(decisions.delete().where(decisions.c.id.in_(old_decisions))).rowcount
        old_alerts = select(alerts.c.id).where(alerts.c.received < before, alerts.c.state == _DECIDED).limit(limit)
        gone += self._connection.execute(alerts.delete().where(alerts.c.id.in_(old_alerts))).rowcount
        return gone
