"""Alerts that came in: stored before the webhook is answered, decided once, shown by `!sentry alerts`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Integer, Row, and_, case, cast, func, or_, select

from errbot_sentry.domain.alerts import TEST, Alert
from errbot_sentry.store.records import (
    SLICE,
    DecidedAlert,
    Decision,
    Delivery,
    DeliveryKey,
    RoomSums,
    WaitingAlert,
    alert_from_text,
    alert_to_text,
    order_key,
)
from errbot_sentry.store.schema import alerts, decisions, deliveries, issues
from errbot_sentry.store.statements import Queries, insert_rows, is_due, next_due, parts, select_in, time_of

_WAITING, _DECIDED = "waiting", "decided"
MOST_SUMMED = 50_000  # decisions of one room in one report
_COLUMNS = ("state", "next_try", "tries", "received", "body", "issue")


@dataclass(frozen=True)
class SeenKey:
    """What a delivery was recognised by, and when."""

    key: str
    at: float


def _is_known(key: DeliveryKey, known: Mapping[str, float], now: float) -> bool:
    return key.text in known and (key.span is None or known[key.text] > now - key.span)


def _row(alert: Alert, now: float) -> tuple[object, ...]:
    return _WAITING, now, 0, now, alert_to_text(alert), order_key(alert)


class InboxTable(Queries):
    """Queries about alerts."""

    def take_in(self, deliveries_: Sequence[Delivery]) -> list[bool]:
        """Store the alerts of these deliveries and what they are recognised by; for each whether it was the first.

        A delivery of which any key was known is a replay and leaves nothing. Few statements however many come, since
        their senders wait. The caller has to be alone with this (`Transaction.alone`) where other bots share the state.
        """
        known = self._seen({key.text for each in deliveries_ for key in each.keys})
        firsts: list[bool] = []
        keys: dict[str, float] = {}
        rows: list[tuple[object, ...]] = []
        for each in deliveries_:
            first = not any(_is_known(key, known, each.now) for key in each.keys)
            firsts.append(first)
            if first:
                keys.update((key.text, each.now) for key in each.keys)
                known.update(keys)
                rows += [_row(alert, each.now) for alert in each.alerts]
        insert_rows(self._connection, deliveries, list(keys.items()), ("key", "at"))
        insert_rows(self._connection, alerts, rows, _COLUMNS)
        return firsts

    def _seen(self, keys: Iterable[str]) -> dict[str, float]:
        # One that cannot be read is taken for new, and replaced: rather twice than never.
        rows = select_in(self._connection, deliveries, ("key", "at"), sorted(keys))
        read = (self._corrupt_rows.read("deliveries", row[0], partial(SeenKey, *row)) for row in rows)
        return {each.key: each.at for each in read if each is not None}

    def waiting(self, now: float, limit: int, also: Sequence[int] = ()) -> tuple[list[WaitingAlert], list[int]]:
        """Alerts to be decided now, those due longest first; and the numbers of those that cannot be read.

        With those of the numbers `also` that still wait, due or not.
        """
        due = is_due(alerts.c.next_try, now)
        found = self._connection.execute(
            select(alerts.c.id, alerts.c.body, alerts.c.received, alerts.c.tries)
            .where(alerts.c.state == _WAITING, or_(due, alerts.c.id.in_(also)) if also else due)
            .order_by(alerts.c.next_try, alerts.c.id)
            .limit(limit)
        )
        rows, corrupt = [], []
        for row in found:
            waits = self._corrupt_rows.read("alerts", row.id, partial(_waiting, row))
            if waits is not None:
                rows.append(waits)
            else:
                corrupt.append(row.id)
        return rows, corrupt

    def parked(self, keys: Sequence[str], now: float) -> list[tuple[int, str, float]]:
        """Which alerts about these problems (`order_key`) are parked: number, key, until when."""
        parked = alerts.c.state == _WAITING, alerts.c.tries == 0, alerts.c.next_try > now
        found = select(alerts.c.id, alerts.c.issue, alerts.c.next_try).where(alerts.c.issue.in_(keys), *parked)
        rows = self._connection.execute(found.order_by(alerts.c.id))
        return [(row.id, row.issue, time_of(row.next_try) or now) for row in rows if row.issue]

    def park(self, alert_id: int, until: float) -> None:
        """Look at this alert again then: it waits for a look-up, or behind another about the same problem."""
        self._connection.execute(alerts.update().where(alerts.c.id == alert_id).values(next_try=until))

    def release(self, key: str, now: float) -> None:
        """The one that others about this problem waited behind is decided."""
        parked = alerts.c.state == _WAITING, alerts.c.tries == 0, alerts.c.next_try > now
        self._connection.execute(alerts.update().where(alerts.c.issue == key, *parked).values(next_try=now))

    def still_waiting(self, ids: Sequence[int]) -> set[int]:
        """Which of these nobody has decided yet."""
        return set(
            self._connection.scalars(select(alerts.c.id).where(alerts.c.id.in_(ids), alerts.c.state == _WAITING))
        )

    def next_due(self) -> float | None:
        """When the next alert is to be looked at; None where none is waiting."""
        return next_due(self._connection, select(func.min(alerts.c.next_try)).where(alerts.c.state == _WAITING))

    def set_aside(self, ids: Sequence[int], name: str, now: float) -> None:
        """These cannot be read: they are decided, under this name."""
        still = sorted(self.still_waiting(ids))
        self._connection.execute(alerts.update().where(alerts.c.id.in_(still)).values(state=_DECIDED))
        rows = [
            {**asdict(Decision(alert_id, "", name, "the stored alert cannot be read")), "at": now} for alert_id in still
        ]
        if rows:
            self._connection.execute(decisions.insert(), rows)

    def put_off(self, alert_id: int, next_try: float) -> None:
        """Look at this alert again later: something that it needs cannot be had now."""
        self._connection.execute(
            alerts.update().where(alerts.c.id == alert_id).values(next_try=next_try, tries=alerts.c.tries + 1)
        )

    def decide(self, alert_id: int, alert: Alert, made: Sequence[Decision], now: float) -> None:
        """The alert, as it was understood, is decided; what became of it is stored."""
        self._connection.execute(
            alerts.update().where(alerts.c.id == alert_id).values(state=_DECIDED, body=alert_to_text(alert))
        )
        if made:
            rows = [{**asdict(each), "at": now} for each in made]
            self._connection.execute(decisions.insert(), rows)

    def decided(
        self, room: str, limit: int, names: Iterable[str] = (), before: int | None = None
    ) -> list[DecidedAlert]:
        """The latest decisions for one room, newest first; only those with one of these `names`."""
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
        read = (self._decided(row) for row in found)
        return [each for each in read if each is not None]

    def of_issue(self, issue: str, since: float) -> list[tuple[Alert, float, float | None]]:
        """The alerts about this issue since then: each, when it was received, and when it was decided."""
        decided = and_(decisions.c.alert_id == alerts.c.id, decisions.c.at >= since)
        found = self._connection.execute(
            select(alerts.c.id, alerts.c.body, alerts.c.received, func.min(decisions.c.at))
            .outerjoin(decisions, decided)
            .where(alerts.c.received >= since, alerts.c.issue == issue)
            .group_by(alerts.c.id, alerts.c.body, alerts.c.received)
        )
        read = ((self._alert(row.id, row.body), row.received, time_of(row[3])) for row in found)
        return [(alert, received, at) for alert, received, at in read if alert is not None]

    def _decided(self, row: Row[Any]) -> DecidedAlert | None:
        alert = self._alert(row.alert_id, row.body)
        if alert is None:
            return None
        key = f"of alert {row.alert_id}"
        return self._corrupt_rows.read(
            "decisions", key, lambda: DecidedAlert(alert, row.received, row.room, row.name, row.detail, row.at)
        )

    def get(self, alert_ids: Sequence[int]) -> dict[int, Alert]:
        """Those of these alerts that are still stored."""
        found_alerts: dict[int, Alert] = {}
        for part in parts(alert_ids):
            found = self._connection.execute(select(alerts.c.id, alerts.c.body).where(alerts.c.id.in_(part)))
            read = ((row.id, self._alert(row.id, row.body)) for row in found)
            found_alerts.update((alert_id, alert) for alert_id, alert in read if alert is not None)
        return found_alerts

    def _alert(self, alert_id: int, text: object) -> Alert | None:
        return self._corrupt_rows.read("alerts", alert_id, lambda: alert_from_text(text))

    def sums(
        self, room: str, since: float, until: float, merged: str, visible: Callable[[str], bool] | None = None
    ) -> RoomSums:
        """What became of a room's alerts in a span of time, summed by the database over its newest MOST_SUMMED.

        `merged` is the decision that the slices leave out. Only what is about a `visible` project counts, by the
        project's present name; None: everything counts. Tests never do.
        """
        newest = (
            select(decisions.c.at, decisions.c.name, decisions.c.reason, decisions.c.issue)
            .where(
                decisions.c.room == room, decisions.c.at >= since, decisions.c.at < until, decisions.c.reason != TEST
            )
            .order_by(decisions.c.at.desc())
            .limit(MOST_SUMMED)
            .subquery()
        )
        # Whatever belongs to no known issue is hidden too.
        source = newest if visible is None else newest.join(issues, issues.c.key == newest.c.issue)
        project = () if visible is None else (issues.c.project,)

        def summed(key: ColumnElement[Any], count: ColumnElement[int], *wanted: ColumnElement[bool]) -> Counter[Any]:
            sums: Counter[Any] = Counter()
            found = select(*project, key, count).select_from(source).where(*wanted).group_by(*project, key)
            for *of, value, number in self._connection.execute(found):
                if visible is None or visible(str(of[0])):
                    sums[value] += number
            return sums

        part = (until - newest.c.at) / SLICE
        # One rounds where a number becomes a whole one, the other cuts off, and not each has `floor`.
        whole = cast(func.floor(part) if self._connection.dialect.name == "postgresql" else part, Integer)
        read = self._connection.scalar(select(func.count()).select_from(newest)) or 0
        by_name = summed(newest.c.name, func.count())
        by_reason = summed(newest.c.reason, func.count(newest.c.issue.distinct()))
        slices = [
            (max(since, until - (number + 0.5) * SLICE), count)
            for number, count in summed(whole, func.count(), newest.c.name != merged).items()
            if isinstance(number, int)
        ]
        problems = {str(reason): count for reason, count in by_reason.items()}
        return RoomSums(by_name.total(), problems, tuple(sorted(slices)), read >= MOST_SUMMED)

    def counts(self) -> dict[str, int]:
        """How many decisions of each name are stored."""
        found = self._connection.execute(select(decisions.c.name, func.count()).group_by(decisions.c.name))
        return {str(row[0]): row[1] for row in found}

    def waiting_count(self) -> tuple[int, float | None]:
        """How many alerts are undecided, and since when the oldest is that was not put off for want of its project."""
        row = self._connection.execute(
            select(func.count(), func.min(case((alerts.c.tries == 0, alerts.c.received)))).where(
                alerts.c.state == _WAITING
            )
        ).one()
        return row[0], time_of(row[1])

    def has_waiting(self, until: float) -> bool:
        """Whether an alert that came by then is undecided, and not put off for want of its project."""
        found = select(alerts.c.id).where(alerts.c.state == _WAITING, alerts.c.tries == 0, alerts.c.received <= until)
        return self._connection.scalar(found.limit(1)) is not None

    def forget(self, before: float, limit: int) -> int:
        """Drop deliveries, decisions and decided alerts older than this, at most `limit` of each; how many were."""
        return (
            self._forget(deliveries, limit, deliveries.c.at < before)
            + self._forget(decisions, limit, decisions.c.at < before)
            + self._forget(alerts, limit, alerts.c.received < before, alerts.c.state == _DECIDED)
        )


def _waiting(row: Any) -> WaitingAlert | None:
    alert = alert_from_text(row.body)
    return None if alert is None else WaitingAlert(row.id, alert, row.received, row.tries)
