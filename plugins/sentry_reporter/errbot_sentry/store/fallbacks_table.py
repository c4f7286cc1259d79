"""Which notifications went to the fallback, so that each goes there once, even with restarts and several bots."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import and_, func, or_, select

from errbot_sentry.domain.alerts import NOTIFICATION_KINDS
from errbot_sentry.store.records import FAILED, SENDING, SENT, UNSURE, WAITING, FallbackRow, FallbackState
from errbot_sentry.store.schema import fallbacks, groups, outbox
from errbot_sentry.store.statements import FURTHEST, Queries, is_due, parts, time_of, upsert

_KINDS = [kind.value for kind in NOTIFICATION_KINDS]
_OPEN = (FallbackState.SENDING.value, FallbackState.AGAIN.value)


class FallbacksTable(Queries):
    """Queries about notifications that the chat network does not accept."""

    def stuck(
        self, now: float, made_before: float, furthest: float, limit: int
    ) -> list[tuple[int, FallbackRow | None]]:
        """Notifications that the chat network has not accepted and that may go to the fallback now, oldest first.

        Each comes with its earlier state at the fallback, if it has one. `furthest` is how many seconds ahead a
        notification may be put off.
        """
        is_open = and_(fallbacks.c.state.in_(_OPEN), is_due(fallbacks.c.at, now, furthest + FURTHEST))
        rows = self._connection.execute(
            select(outbox.c.id.label("message"), fallbacks)
            .outerjoin(fallbacks, fallbacks.c.id == outbox.c.id)
            .where(
                outbox.c.state.in_((WAITING, SENDING, FAILED)),
                outbox.c.kind.in_(_KINDS),
                outbox.c.made <= made_before,
                or_(fallbacks.c.id.is_(None), is_open),
            )
            .order_by(outbox.c.id)
            .limit(limit)
        )
        return [(row.message, None if row.id is None else self._record(FallbackRow, fallbacks, row)) for row in rows]

    def last_taken(self, room: str) -> float:
        """When the chat network last accepted a message for this room; 0 for never."""
        newest = (
            select(outbox.c.sent).where(outbox.c.state == state, outbox.c.room == room).order_by(outbox.c.id.desc())
            for state in (SENT, UNSURE)
        )
        return max(time_of(self._connection.scalar(query.limit(1))) or 0.0 for query in newest)

    def alerts_in(self, message_id: int) -> list[int]:
        """The alerts behind a message that lists several: those of the problems that have it as thread root."""
        room = select(outbox.c.room).where(outbox.c.id == message_id).scalar_subquery()
        query = select(groups.c.alert_id).where(groups.c.room == room, groups.c.thread_root == message_id)
        return list(self._connection.scalars(query))

    def put(self, rows: Iterable[FallbackRow]) -> None:
        """Add or replace rows."""
        values = [{**row.__dict__, "state": FallbackState(row.state).value} for row in rows]
        if values:
            self._connection.execute(upsert(self._connection.dialect.name, fallbacks), values)

    def outages(self, now: float) -> Mapping[str, list[FallbackRow]]:
        """By room, the notifications that went to the fallback and that the room was not informed of yet.

        Rooms for which a bot is sending to the fallback just now are left out. A notification that a bot was sending
        when it died is included, since it may have arrived.
        """
        found = self._connection.execute(
            select(outbox.c.room, fallbacks)
            .join(outbox, outbox.c.id == fallbacks.c.id)
            .where(fallbacks.c.state.in_((*_OPEN, FallbackState.SENT.value)))
        )
        by_room: dict[str, list[FallbackRow]] = defaultdict(list)
        busy = set()
        for row in found:
            read = self._record(FallbackRow, fallbacks, row)
            is_sending = read is not None and read.state == FallbackState.SENDING.value
            if read is not None and is_sending and now < read.at <= now + FURTHEST:
                busy.add(row.room)
            elif read is not None and (is_sending or read.went is not None):
                by_room[row.room].append(read)
        return {room: rows for room, rows in by_room.items() if room not in busy}

    def back_at(self, room: str, rows: Sequence[FallbackRow]) -> float | None:
        """When the chat network accepted a room's first message after these went to the fallback; None if not yet.

        That message may be one of these, accepted while it was sent to the fallback.
        """
        first, went = min(row.id for row in rows), min(row.went or row.since for row in rows)
        these = select(fallbacks.c.id).where(
            fallbacks.c.state.in_((*_OPEN, FallbackState.SENT.value)),
            or_(fallbacks.c.went.is_not(None), fallbacks.c.state == FallbackState.SENDING.value),
        )
        since = or_(outbox.c.sent > went, outbox.c.id.in_(these))
        accepted = (outbox.c.state == SENT, outbox.c.room == room, outbox.c.id >= first, since)
        return time_of(self._connection.scalar(select(func.min(outbox.c.sent)).where(*accepted)))

    def forget(self) -> None:
        """Delete rows whose message was deleted: the database may use its number for another message."""
        self._connection.execute(fallbacks.delete().where(fallbacks.c.id.not_in(select(outbox.c.id))))

    def note(self, rows: Sequence[FallbackRow]) -> None:
        """Store that the room was informed that these went to the fallback."""
        for part in parts([row.id for row in rows]):
            noted = fallbacks.update().where(fallbacks.c.id.in_(part)).values(state=FallbackState.NOTED.value)
            self._connection.execute(noted)
