"""What was sent to each room about each problem, and what is put off, each with its reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, case, func, or_, select

from errbot_sentry.domain.issues import UNRESOLVED
from errbot_sentry.store.corrupt_rows import LATEST
from errbot_sentry.store.records import DeferReason, Deferred, Group
from errbot_sentry.store.schema import deferred, groups, issues
from errbot_sentry.store.statements import SKEW, Queries, is_due, next_due, parts, time_of

MOST_COMPARED = 5_000  # problems of one room in one report
CORRUPT = "corrupt"  # instead of the reason: no query asks for these
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
        order = groups.c.due, groups.c.room, groups.c.issue  # not as they happen to be written
        found = select(groups).where(is_due(groups.c.due, now, LATEST)).order_by(*order).limit(limit)
        read = []
        for row in self._connection.execute(found).all():
            group = self._group(row)
            if group is None:
                self.set_aside(row.room, row.issue)  # else it would be the first to be due for ever
            else:
                read.append(group)
        return read

    def next_due(self) -> float | None:
        """When the next group is to be looked at."""
        return next_due(self._connection, select(func.min(groups.c.due)))

    def sent_in_list(self, room: str, issues: Sequence[str], thread_root: int) -> None:
        """One list notified the room of these problems: an update on each comes no sooner than a reminder would."""
        for part in parts(issues):
            found = groups.update().where(groups.c.room == room, groups.c.issue.in_(part))
            self._connection.execute(found.values(thread_root=thread_root, due=None, span=groups.c.repeat))

    def sent_alone(self, room: str, issue: str, thread_root: int) -> None:
        """This problem was put off and then got a notification of its own."""
        self._set(room, issue, thread_root=thread_root)

    def forget_unsent(self, room: str, issue: str) -> None:
        """The notification of this problem was put off and will not be sent: what comes next is a notification."""
        mine = (groups.c.room == room, groups.c.issue == issue, groups.c.thread_root == 0)
        self._connection.execute(groups.delete().where(*mine))

    def set_mentioned(self, room: str, issue: str, who: str) -> None:
        """This owner of the problem was mentioned in the room."""
        self._set(room, issue, mentioned=who)

    def set_mentioned_everywhere(self, issue: str, who: str) -> None:
        """This owner took the problem, and is not mentioned for the assignment in any room; "" for nobody."""
        self._connection.execute(groups.update().where(groups.c.issue == issue).values(mentioned=who))

    def noisiest(self, room: str, since: float, limit: int, visible: Callable[[str], bool]) -> list[Group]:
        """Open problems of a room with an alert since then, those with the most events first.

        Only those of a project that is `visible`, among the MOST_COMPARED noisiest.
        """
        found = (
            select(groups, issues.c.project)
            .join(issues, issues.c.key == groups.c.issue)
            .where(groups.c.room == room, groups.c.at >= since, groups.c.status == UNRESOLVED)
            .order_by(func.coalesce(groups.c.events, 0).desc())
            .limit(MOST_COMPARED)
        )
        shown = (row for row in self._connection.execute(found) if visible(str(row.project)))
        read = (self._group(row) for row in shown)
        return list(islice((group for group in read if group is not None), limit))

    def put(self, changed: Iterable[Group]) -> None:
        """Add or replace groups."""
        self._put(groups, changed)

    def forget(self, before: float, limit: int) -> int:
        """Drop at most `limit` groups without an alert since `before`; how many were dropped."""
        return self._forget(groups, limit, groups.c.at < before)

    def _group(self, row: Row[Any]) -> Group | None:
        # Where it cannot be read it is as if nothing was sent, until it is written again.
        return self._record(Group, groups, row)

    def set_aside(self, room: str, issue: str) -> None:
        """What is due of this group cannot be done: it is looked at again when something happens."""
        self._corrupt_rows.note("groups", (room, issue))
        self._set(room, issue, due=None)

    def _set(self, room: str, issue: str, **values: object) -> None:
        self._connection.execute(groups.update().where(groups.c.room == room, groups.c.issue == issue).values(values))


class DeferredTable(Queries):
    """Queries about what is put off."""

    def add(self, added: Iterable[Deferred]) -> None:
        """Put these off."""
        rows = [{**each.__dict__, "reason": each.reason.value} for each in added]
        for row in rows:
            del row["id"]
        if rows:
            self._connection.execute(deferred.insert(), rows)

    def of_room(self, room: str, reason: DeferReason) -> list[Deferred]:
        """What is put off in a room for this reason, oldest first; only for a transaction that may write."""
        found = select(deferred).where(*_of(room, reason)).order_by(deferred.c.id)
        read, corrupt = self._read(found)
        for part in parts(corrupt):  # else they would be due for ever
            self._connection.execute(deferred.update().where(deferred.c.id.in_(part)).values(reason=CORRUPT))
        return read

    def set_aside(self, room: str, reason: DeferReason) -> None:
        """What is put off in a room for this reason cannot be sent."""
        self._corrupt_rows.note("deferred", (room, reason))
        self._connection.execute(deferred.update().where(*_of(room, reason)).values(reason=CORRUPT))

    def postpone(self, room: str, reason: DeferReason, due: float) -> None:
        """Look again then at what is put off in a room for this reason."""
        self._connection.execute(deferred.update().where(*_of(room, reason)).values(due=due))

    def due_of_room(self, room: str, reason: DeferReason) -> float | None:
        """When what is put off in a room for this reason is due; None where there is nothing."""
        return time_of(self._connection.scalar(select(func.min(deferred.c.due)).where(*_of(room, reason))))

    def contains(self, room: str, reason: DeferReason, issue: str) -> bool:
        """Whether a message about this problem is put off in a room for this reason."""
        found = select(deferred.c.id).where(*_of(room, reason), deferred.c.issue == issue).limit(1)
        return self._connection.scalar(found) is not None

    def due(self, now: float) -> list[tuple[str, DeferReason]]:
        """Rooms and reasons whose time has come; what a silence defers waits for its end."""
        found = select(deferred.c.room, deferred.c.reason).where(_due(now) <= now, deferred.c.reason.in_(_TIMED))
        return [(row.room, DeferReason(row.reason)) for row in self._connection.execute(found.distinct().limit(100))]

    def next_due(self, now: float) -> float | None:
        """When the next of these is due."""
        return next_due(self._connection, select(func.min(_due(now))).where(deferred.c.reason.in_(_TIMED)))

    def of_silence(self, silence: int) -> list[Deferred]:
        """What a silence defers, oldest first."""
        return self._read(select(deferred).where(*_of_silence(silence)).order_by(deferred.c.id))[0]

    def drop(self, ids: Sequence[int]) -> None:
        """These are sent, or not worth sending any more."""
        for part in parts(ids):
            self._connection.execute(deferred.delete().where(deferred.c.id.in_(part)))

    def drop_silence(self, silence: int) -> None:
        """The silence is over, and what it deferred was listed."""
        self._connection.execute(deferred.delete().where(*_of_silence(silence)))

    def counts(self) -> dict[str, int]:
        """How many are put off, by reason."""
        return self._counts(deferred.c.reason)

    def _read(self, query: Select[Any]) -> tuple[list[Deferred], list[int]]:
        """What could be read, and the numbers of the rows that could not."""
        read, corrupt = [], []
        for row in self._connection.execute(query):
            each = self._record(Deferred, deferred, row, reason=DeferReason)
            if each is not None:
                read.append(each)
            else:
                corrupt.append(row.id)
        return read, corrupt


def _of(room: str, reason: DeferReason) -> tuple[ColumnElement[bool], ...]:
    return deferred.c.room == room, deferred.c.reason == reason.value


def _of_silence(silence: int) -> tuple[ColumnElement[bool], ...]:
    return deferred.c.silence == silence, deferred.c.reason == DeferReason.SILENCE.value


def _due(now: float) -> ColumnElement[float]:
    """When a row is due. One from the future was written while the clock was wrong, and is due now; so is one whose
    time is none, which is read and set aside then."""
    return case((or_(deferred.c.at > now + SKEW, deferred.c.due > LATEST), now), else_=deferred.c.due)
