"""What was sent to each room about each problem, and which messages are put off, each with its reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, case, func, or_, select

from errbot_sentry.domain.issues import UNRESOLVED
from errbot_sentry.domain.json_values import LATEST
from errbot_sentry.store.records import DeferReason, Deferred, Group
from errbot_sentry.store.schema import deferred, groups, issues
from errbot_sentry.store.statements import SKEW, Queries, is_due, next_due, parts, time_of

MOST_COMPARED = 5_000  # problems of one room in one digest
CORRUPT = "corrupt"  # replaces the reason of a corrupt row; no query selects it
_TIMED = [reason.value for reason in DeferReason if reason is not DeferReason.SILENCE]


class GroupsTable(Queries):
    """Queries about groups."""

    def of_issue(self, issue: str) -> dict[str, Group]:
        """The groups of one issue, by room."""
        return self.of_issues([issue])[issue]

    def of_issues(self, issues_: Sequence[str]) -> dict[str, dict[str, Group]]:
        """The groups of each of these issues, by room."""
        found: dict[str, dict[str, Group]] = {issue: {} for issue in issues_}
        for part in parts(issues_):
            for group in self._all(select(groups).where(groups.c.issue.in_(part)), self._group):
                found[group.issue][group.room] = group
        return found

    def due(self, now: float, limit: int) -> list[Group]:
        """Groups to look at again, those due longest first."""
        order = groups.c.due, groups.c.room, groups.c.issue  # the order must not depend on how the rows are stored
        query = select(groups).where(is_due(groups.c.due, now, LATEST)).order_by(*order).limit(limit)
        read = []
        for row in self._connection.execute(query).all():
            group = self._group(row)
            if group is None:
                self.set_aside(row.room, row.issue)  # otherwise it would stay first in line for ever
            else:
                read.append(group)
        return read

    def next_due(self) -> float | None:
        """When the next group is to be looked at."""
        return next_due(self._connection, select(func.min(groups.c.due)))

    def sent_in_list(self, room: str, issues: Sequence[str], thread_root: int) -> None:
        """Store that one list notified the room of these problems. The next update on each waits as a reminder does."""
        for part in parts(issues):
            statement = groups.update().where(groups.c.room == room, groups.c.issue.in_(part))
            self._connection.execute(statement.values(thread_root=thread_root, due=None, span=groups.c.repeat))

    def sent_alone(self, room: str, issue: str, thread_root: int) -> None:
        """Store that a problem that was put off got its own notification."""
        self._set(room, issue, thread_root=thread_root)

    def forget_unsent(self, room: str, issue: str) -> None:
        """Delete a group whose notification was put off and will not be sent, so that its next alert notifies."""
        unsent = (groups.c.room == room, groups.c.issue == issue, groups.c.thread_root == 0)
        self._connection.execute(groups.delete().where(*unsent))

    def set_mentioned(self, room: str, issue: str, who: str) -> None:
        """Store that this owner of the problem was mentioned in the room."""
        self._set(room, issue, mentioned=who)

    def set_mentioned_everywhere(self, issue: str, who: str) -> None:
        """Store for all rooms that this owner took the problem and needs no mention for that; "" for nobody."""
        self._connection.execute(groups.update().where(groups.c.issue == issue).values(mentioned=who))

    def noisiest(self, room: str, since: float, limit: int, visible: Callable[[str], bool]) -> list[Group]:
        """Unresolved problems of a room with an alert since then, those with the most events first.

        Only those whose project is `visible`, out of the MOST_COMPARED with the most events.
        """
        query = (
            select(groups, issues.c.project)
            .join(issues, issues.c.key == groups.c.issue)
            .where(groups.c.room == room, groups.c.at >= since, groups.c.status == UNRESOLVED)
            .order_by(func.coalesce(groups.c.events, 0).desc())
            .limit(MOST_COMPARED)
        )
        shown = (row for row in self._connection.execute(query) if visible(str(row.project)))
        read = (self._group(row) for row in shown)
        return list(islice((group for group in read if group is not None), limit))

    def put(self, changed: Iterable[Group]) -> None:
        """Add or replace groups."""
        self._put(groups, changed)

    def forget(self, before: float, limit: int) -> int:
        """Delete at most `limit` groups without an alert since `before`; returns how many were deleted."""
        return self._forget(groups, limit, groups.c.at < before)

    def _group(self, row: Row[Any]) -> Group | None:
        # A corrupt row counts as if nothing was sent about the problem, until the row is written again.
        return self._record(Group, groups, row)

    def set_aside(self, room: str, issue: str) -> None:
        """Count a group as corrupt and clear its due time; the next alert about its problem sets it again."""
        self._corrupt_rows.note("groups", (room, issue))
        self._set(room, issue, due=None)

    def _set(self, room: str, issue: str, **values: object) -> None:
        self._connection.execute(groups.update().where(groups.c.room == room, groups.c.issue == issue).values(values))


class DeferredTable(Queries):
    """Queries about messages that are put off."""

    def add(self, added: Iterable[Deferred]) -> None:
        """Store messages that are put off."""
        rows = [{**message.__dict__, "reason": message.reason.value} for message in added]
        for row in rows:
            del row["id"]
        if rows:
            self._connection.execute(deferred.insert(), rows)

    def of_room(self, room: str, reason: DeferReason) -> list[Deferred]:
        """What is put off in a room for this reason, oldest first.

        Needs a transaction that may write, since it marks corrupt rows.
        """
        query = select(deferred).where(*_of(room, reason)).order_by(deferred.c.id)
        read, corrupt = self._read(query)
        for part in parts(corrupt):  # otherwise they would stay due for ever
            self._connection.execute(deferred.update().where(deferred.c.id.in_(part)).values(reason=CORRUPT))
        return read

    def set_aside(self, room: str, reason: DeferReason) -> None:
        """Mark all that is put off in a room for this reason as corrupt, because it cannot be sent."""
        self._corrupt_rows.note("deferred", (room, reason))
        self._connection.execute(deferred.update().where(*_of(room, reason)).values(reason=CORRUPT))

    def postpone(self, room: str, reason: DeferReason, due: float) -> None:
        """Set when to look again at what is put off in a room for this reason."""
        self._connection.execute(deferred.update().where(*_of(room, reason)).values(due=due))

    def due_of_room(self, room: str, reason: DeferReason) -> float | None:
        """When the first message that is put off in a room for this reason is due; None if there is none."""
        return time_of(self._connection.scalar(select(func.min(deferred.c.due)).where(*_of(room, reason))))

    def contains(self, room: str, reason: DeferReason, issue: str) -> bool:
        """Whether a message about this problem is put off in a room for this reason."""
        query = select(deferred.c.id).where(*_of(room, reason), deferred.c.issue == issue).limit(1)
        return self._connection.scalar(query) is not None

    def due(self, now: float) -> list[tuple[str, DeferReason]]:
        """Rooms and reasons with a message that is due. Messages deferred by a silence wait for its end instead."""
        query = select(deferred.c.room, deferred.c.reason).where(_due(now) <= now, deferred.c.reason.in_(_TIMED))
        return [(row.room, DeferReason(row.reason)) for row in self._connection.execute(query.distinct().limit(100))]

    def next_due(self, now: float) -> float | None:
        """When the next message that `due` would find is due; None if there is none."""
        return next_due(self._connection, select(func.min(_due(now))).where(deferred.c.reason.in_(_TIMED)))

    def of_silence(self, silence: int) -> list[Deferred]:
        """What a silence defers, oldest first."""
        return self._read(select(deferred).where(*_of_silence(silence)).order_by(deferred.c.id))[0]

    def drop(self, ids: Sequence[int]) -> None:
        """Delete these: they are sent, or no longer worth sending."""
        for part in parts(ids):
            self._connection.execute(deferred.delete().where(deferred.c.id.in_(part)))

    def drop_silence(self, silence: int) -> None:
        """Delete what an ended silence deferred, after it was listed."""
        self._connection.execute(deferred.delete().where(*_of_silence(silence)))

    def counts(self) -> dict[str, int]:
        """How many are put off, by reason."""
        return self._counts(deferred.c.reason)

    def _read(self, query: Select[Any]) -> tuple[list[Deferred], list[int]]:
        """The records that could be read, and the ids of the corrupt rows."""
        read, corrupt = [], []
        for row in self._connection.execute(query):
            record = self._record(Deferred, deferred, row, reason=DeferReason)
            if record is not None:
                read.append(record)
            else:
                corrupt.append(row.id)
        return read, corrupt


def _of(room: str, reason: DeferReason) -> tuple[ColumnElement[bool], ...]:
    return deferred.c.room == room, deferred.c.reason == reason.value


def _of_silence(silence: int) -> tuple[ColumnElement[bool], ...]:
    return deferred.c.silence == silence, deferred.c.reason == DeferReason.SILENCE.value


def _due(now: float) -> ColumnElement[float]:
    """The time at which a row is due.

    A row made in the future was written while the clock was wrong, and is due now. So is a row whose due time is not a
    time, which is then read and set aside.
    """
    return case((or_(deferred.c.at > now + SKEW, deferred.c.due > LATEST), now), else_=deferred.c.due)
