"""Received alerts: stored before the webhook is answered, decided once, and shown by `!sentry alerts`."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Integer, Row, Select, and_, bindparam, case, cast, func, select, text

from errbot_sentry.domain.alerts import NEW, RULE, SEEN_EVENT, TEST, Alert
from errbot_sentry.domain.json_values import LATEST
from errbot_sentry.store.database import LANES
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
    issue_key,
    order_key,
)
from errbot_sentry.store.schema import alerts, decisions, deliveries, issues
from errbot_sentry.store.statements import FURTHEST, Queries, insert_rows, is_due, next_due, parts, select_in, time_of

_WAITING, _DECIDED = "waiting", "decided"
MOST_SUMMED = 50_000  # decisions of one room in one digest
_DECISION_COLUMNS = tuple(field.name for field in fields(Decision))
_COLUMNS = ("state", "next_try", "tries", "received", "body", "issue", "lane")
# An alert with one of these reasons may be only counted if an alert about its problem was decided before. `changed`
# shows that: the poller also stores issues, but does not set it.
_MAY_BE_COUNTED = (NEW, RULE, SEEN_EVENT)
_IS_KNOWN = "(SELECT COUNT(*) FROM issues WHERE key = {mark} AND changed > 0)"


@dataclass(frozen=True)
class SeenKey:
    """A stored key of a delivery, and when it was received."""

    key: str
    at: float


def _is_known(key: DeliveryKey, known: Mapping[str, float], now: float) -> bool:
    return key.text in known and (key.span is None or known[key.text] > now - key.span)


def lane_of(order: str) -> int:
    """The lane of a problem, from its `order_key`. One bot at a time decides the alerts of a lane."""
    return zlib.crc32(order.encode("utf-8", "replace")) % LANES


def _row(alert: Alert, now: float) -> tuple[object, ...]:
    known_as = issue_key(alert) if alert.reason in _MAY_BE_COUNTED else ""
    order = order_key(alert)
    return _WAITING, now, 0, now, alert_to_text(alert), order, lane_of(order), known_as


class InboxTable(Queries):
    """Queries about alerts."""

    def take_in(self, deliveries_: Sequence[Delivery]) -> list[bool]:
        """Store the alerts and keys of these deliveries; returns for each whether it is new.

        A delivery with a key that is known is a replay, and nothing of it is stored. The senders wait, so the number of
        statements does not grow with the number of deliveries. The caller must have locked all keys
        (`Transaction.alone_with`).
        """
        known = self._seen({key.text for delivery in deliveries_ for key in delivery.keys})
        firsts: list[bool] = []
        keys: dict[str, float] = {}
        rows: list[tuple[object, ...]] = []
        for delivery in deliveries_:
            first = not any(_is_known(key, known, delivery.now) for key in delivery.keys)
            firsts.append(first)
            if first:
                keys.update((key.text, delivery.now) for key in delivery.keys)
                known.update(keys)
                rows += [_row(alert, delivery.now) for alert in delivery.alerts]
        insert_rows(self._connection, deliveries, list(keys.items()), ("key", "at"))
        insert_rows(self._connection, alerts, rows, (*_COLUMNS, "is_known"), {"is_known": _IS_KNOWN})
        return firsts

    def _seen(self, keys: Iterable[str]) -> dict[str, float]:
        # A corrupt key counts as new and is replaced: an alert sent twice is better than one lost.
        rows = select_in(self._connection, deliveries, ("key", "at"), sorted(keys))
        read = (self._corrupt_rows.read("deliveries", row[0], partial(SeenKey, *row)) for row in rows)
        return {seen.key: seen.at for seen in read if seen is not None}

    def waiting(
        self, now: float, limit: int, *, is_known: bool, lanes: Sequence[int] | None = None
    ) -> tuple[list[WaitingAlert], list[int]]:
        """Alerts to be decided now, those due longest first, and the ids of corrupt rows.

        `is_known` selects the alerts about problems that were known when they were received, or all others. `lanes`
        selects lanes, None means all.
        """
        wanted = [alerts.c.state == _WAITING, alerts.c.is_known == int(is_known), is_due(alerts.c.next_try, now)]
        wanted += [] if lanes is None else [alerts.c.lane.in_(lanes)]
        return self._waiting(_WAITERS.where(*wanted).order_by(alerts.c.next_try, alerts.c.id).limit(limit))

    def lanes(self, now: float, limit: int, besides: Collection[int]) -> dict[bool, list[int]]:
        """The lanes of the first `limit` alerts to be decided now, by `is_known`; lanes in `besides` are left out."""
        given = {"now": now, "far": min(now + FURTHEST, LATEST), "besides": list(besides), "most": limit}
        found: dict[bool, list[int]] = {}
        for row in self._connection.execute(_LANES, given):
            found.setdefault(bool(row.is_known), []).append(row.lane)
        return found

    def lanes_of(self, ids: Sequence[int]) -> dict[int, int]:
        """The lane of each of these alerts that is still undecided, by the alert's id."""
        query = select(alerts.c.id, alerts.c.lane).where(alerts.c.id.in_(ids), alerts.c.state == _WAITING)
        return {row.id: row.lane for row in self._connection.execute(query)}

    def waiting_before(
        self, rows: Sequence[WaitingAlert], now: float, limit: int, *, is_known: bool
    ) -> tuple[list[WaitingAlert], list[int]]:
        """Like `waiting`, for alerts about the same problems as `rows` that were stored before the last of `rows`."""
        wanted = alerts.c.state == _WAITING, alerts.c.is_known == int(is_known), is_due(alerts.c.next_try, now)
        keys, last = sorted({order_key(row.alert) for row in rows}), max(row.id for row in rows)
        before = select(alerts.c.id).where(*wanted, alerts.c.issue.in_(keys), alerts.c.id < last)
        ids = before.order_by(alerts.c.id).limit(limit).scalar_subquery()
        return self._waiting(_WAITERS.where(alerts.c.id.in_(ids)).order_by(alerts.c.id))

    def still_waiting_of(self, ids: Sequence[int]) -> tuple[list[WaitingAlert], list[int]]:
        """Like `waiting`, for the alerts with these ids, whether they are due or not."""
        return self._waiting(_WAITERS.where(alerts.c.state == _WAITING, alerts.c.id.in_(ids)).order_by(alerts.c.id))

    def _waiting(self, query: Select[Any]) -> tuple[list[WaitingAlert], list[int]]:
        rows, corrupt = [], []
        for row in self._connection.execute(query):
            alert = self._corrupt_rows.read("alerts", row.id, partial(_waiting, row))
            if alert is not None:
                rows.append(alert)
            else:
                corrupt.append(row.id)
        return rows, corrupt

    def parked(self, keys: Sequence[str], now: float) -> dict[str, dict[int, float]]:
        """Until when each alert about these problems is parked, by the problem's `order_key` and the alert's id."""
        parked = alerts.c.state == _WAITING, alerts.c.tries == 0, alerts.c.next_try > now
        query = select(alerts.c.id, alerts.c.issue, alerts.c.next_try).where(alerts.c.issue.in_(keys), *parked)
        rows = self._connection.execute(query.order_by(alerts.c.id))
        found: dict[str, dict[int, float]] = {}
        for row in rows:
            found.setdefault(row.issue, {})[row.id] = time_of(row.next_try) or now
        return found

    def park(self, ids: Sequence[int], until: float) -> None:
        """Postpone these alerts: they wait for a look-up, or for an earlier alert about the same problem."""
        for part in parts(ids):
            self._connection.execute(alerts.update().where(alerts.c.id.in_(part)).values(next_try=until))

    def release(self, key: str, now: float) -> None:
        """Let the parked alerts about this problem be decided now: the one that they waited for is decided."""
        parked = alerts.c.state == _WAITING, alerts.c.tries == 0, alerts.c.next_try > now
        self._connection.execute(alerts.update().where(alerts.c.issue == key, *parked).values(next_try=now))

    def still_waiting(self, ids: Sequence[int]) -> set[int]:
        """Which of these alerts are still undecided."""
        return set(
            self._connection.scalars(select(alerts.c.id).where(alerts.c.id.in_(ids), alerts.c.state == _WAITING))
        )

    def next_due(self) -> float | None:
        """When the next alert is to be looked at; None if none is waiting."""
        first = select(func.min(alerts.c.next_try)).where(alerts.c.state == _WAITING)
        # Two queries, because each then reads only the first entry of its part of the index.
        times = [next_due(self._connection, first.where(alerts.c.is_known == known)) for known in (0, 1)]
        return min((time for time in times if time is not None), default=None)

    def set_aside(self, ids: Sequence[int], name: str, now: float) -> None:
        """Mark corrupt alerts as decided, with a decision of this name."""
        still = sorted(self.still_waiting(ids))
        self._connection.execute(alerts.update().where(alerts.c.id.in_(still)).values(state=_DECIDED))
        rows = [
            {**asdict(Decision(alert_id, "", name, "the stored alert cannot be read")), "at": now} for alert_id in still
        ]
        if rows:
            self._connection.execute(decisions.insert(), rows)

    def put_off(self, alert_id: int, next_try: float) -> None:
        """Try this alert again later, because a look-up that it needs failed now. Counts as a try."""
        self._connection.execute(
            alerts.update().where(alerts.c.id == alert_id).values(next_try=next_try, tries=alerts.c.tries + 1)
        )

    def decide(self, alert_id: int, alert: Alert, made: Sequence[Decision], now: float) -> None:
        """Mark an alert as decided. Store it as enriched, and the decisions about it."""
        self._connection.execute(
            alerts.update().where(alerts.c.id == alert_id).values(state=_DECIDED, body=alert_to_text(alert))
        )
        if made:
            rows = [{**asdict(decision), "at": now} for decision in made]
            self._connection.execute(decisions.insert(), rows)

    def decide_all(self, made: Sequence[tuple[WaitingAlert, Alert, Sequence[Decision]]], now: float) -> None:
        """Like `decide`, for many in few statements: each as stored, as enriched, and with the decisions about it."""
        same = [row.id for row, alert, _ in made if alert == row.alert]
        for part in parts(same):
            self._connection.execute(alerts.update().where(alerts.c.id.in_(part)).values(state=_DECIDED))
        # These rows exist, so only the state and the body are replaced. An INSERT needs the other columns nevertheless.
        changed = [
            (row.id, _DECIDED, now, row.tries, row.received, alert_to_text(alert), order_key(row.alert), 0, 0)
            for row, alert, _ in made
            if alert != row.alert
        ]
        columns = ("id", *_COLUMNS, "is_known")
        insert_rows(self._connection, alerts, changed, columns, replaced=("state", "body"))
        rows = [(*decision.__dict__.values(), now) for _, _, of_alert in made for decision in of_alert]
        insert_rows(self._connection, decisions, rows, (*_DECISION_COLUMNS, "at"))

    def decided(self, room: str, limit: int, names: Iterable[str] = ()) -> list[DecidedAlert]:
        """The latest decisions for one room, newest first; with `names`, only those with one of these names."""
        wanted = [decisions.c.room == room]
        if names:
            wanted.append(decisions.c.name.in_(list(names)))
        query = (
            select(decisions, alerts.c.body, alerts.c.received)
            .join(alerts, alerts.c.id == decisions.c.alert_id)
            .where(and_(*wanted))
            .order_by(decisions.c.id.desc())
        )
        return self._all(query.limit(limit), self._decided)

    def of_issue(self, issue: str, since: float) -> list[tuple[Alert, float, float | None]]:
        """The alerts about this issue since then, each with when it was received and when it was decided."""
        decided = and_(decisions.c.alert_id == alerts.c.id, decisions.c.at >= since)
        rows = self._connection.execute(
            select(alerts.c.id, alerts.c.body, alerts.c.received, func.min(decisions.c.at))
            .outerjoin(decisions, decided)
            .where(alerts.c.received >= since, alerts.c.issue == issue)
            .group_by(alerts.c.id, alerts.c.body, alerts.c.received)
        )
        read = ((self._alert(row.id, row.body), row.received, time_of(row[3])) for row in rows)
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
        """The alerts with these ids that are still stored, by id."""
        found_alerts: dict[int, Alert] = {}
        for part in parts(alert_ids):
            rows = self._connection.execute(select(alerts.c.id, alerts.c.body).where(alerts.c.id.in_(part)))
            read = ((row.id, self._alert(row.id, row.body)) for row in rows)
            found_alerts.update((alert_id, alert) for alert_id, alert in read if alert is not None)
        return found_alerts

    def _alert(self, alert_id: int, text: object) -> Alert | None:
        return self._corrupt_rows.read("alerts", alert_id, lambda: alert_from_text(text))

    def sums(
        self, room: str, since: float, until: float, merged: str, visible: Callable[[str], bool] | None = None
    ) -> RoomSums:
        """What became of a room's alerts in a span of time, summed by the database over the newest MOST_SUMMED.

        `merged` is the name of the decision that the slices leave out. With `visible`, only alerts about projects for
        which it is true count, by the project's present name. Test alerts never count.
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
        # With `visible`, the join also leaves out alerts without a known issue.
        source = newest if visible is None else newest.join(issues, issues.c.key == newest.c.issue)
        project = () if visible is None else (issues.c.project,)

        def summed(key: ColumnElement[Any], count: ColumnElement[int], *wanted: ColumnElement[bool]) -> Counter[Any]:
            sums: Counter[Any] = Counter()
            query = select(*project, key, count).select_from(source).where(*wanted).group_by(*project, key)
            for *of_project, value, number in self._connection.execute(query):
                if visible is None or visible(str(of_project[0])):
                    sums[value] += number
            return sums

        part = (until - newest.c.at) / SLICE
        # PostgreSQL rounds when it casts to an integer. SQLite truncates, and some builds of it have no `floor`.
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
        return self._counts(decisions.c.name)

    def waiting_count(self) -> tuple[int, float | None]:
        """How many alerts are undecided, and when the oldest was received that was not put off for a failed look-up."""
        row = self._connection.execute(
            select(func.count(), func.min(case((alerts.c.tries == 0, alerts.c.received)))).where(
                alerts.c.state == _WAITING
            )
        ).one()
        return row[0], time_of(row[1])

    def has_waiting(self, until: float) -> bool:
        """Whether an alert received by `until` is undecided and was not put off for a failed look-up."""
        query = select(alerts.c.id).where(alerts.c.state == _WAITING, alerts.c.tries == 0, alerts.c.received <= until)
        return self._connection.scalar(query.limit(1)) is not None

    def forget(self, before: float, limit: int) -> int:
        """Delete at most `limit` each of older deliveries, decisions and decided alerts; returns how many in all."""
        return (
            self._forget(deliveries, limit, deliveries.c.at < before)
            + self._forget(decisions, limit, decisions.c.at < before)
            + self._forget(alerts, limit, alerts.c.received < before, alerts.c.state == _DECIDED)
        )


_DUE = """state = 'waiting' AND (next_try <= :now OR next_try > :far) AND lane NOT IN :besides
    ORDER BY next_try, id LIMIT :most"""
_LANES = text(f"""SELECT DISTINCT is_known, lane FROM (
    SELECT * FROM (SELECT is_known, lane FROM alerts WHERE is_known = 0 AND {_DUE}) AS others UNION ALL
    SELECT * FROM (SELECT is_known, lane FROM alerts WHERE is_known = 1 AND {_DUE}) AS known) AS due""").bindparams(  # noqa: S608 - our own text
    bindparam("besides", expanding=True)
)
_WAITERS = select(alerts.c.id, alerts.c.body, alerts.c.received, alerts.c.tries)


def _waiting(row: Any) -> WaitingAlert | None:
    alert = alert_from_text(row.body)
    return None if alert is None else WaitingAlert(row.id, alert, row.received, row.tries)
