"""What was sent to each room about each problem."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from itertools import islice
from typing import Any

from sqlalchemy import Row, func, select, tuple_

from errbot_sentry.domain.issues import UNRESOLVED
from errbot_sentry.store.corrupt_rows import LATEST
from errbot_sentry.store.records import Group
from errbot_sentry.store.schema import groups, issues
from errbot_sentry.store.statements import Queries, is_due, next_due, parts, upsert

MOST_COMPARED = 5_000  # problems of one room in one report
_NAMES = tuple(field.name for field in fields(Group))


class GroupsTable(Queries):
    """Queries about groups."""

    def of_issue(self, issue: str) -> dict[str, Group]:
        """The groups of one issue, by room."""
        found = self._connection.execute(select(groups).where(groups.c.issue == issue))
        return {group.room: group for group in map(self._group, found) if group is not None}

    def due(self, now: float, limit: int) -> list[Group]:
        """Groups to look at again, those due longest first."""
        found = select(groups).where(is_due(groups.c.due, now, LATEST)).order_by(groups.c.due).limit(limit)
        read = [(row, self._group(row)) for row in self._connection.execute(found)]
        for row in [row for row, group in read if group is None]:
            mine = groups.update().where(groups.c.room == row.room, groups.c.issue == row.issue)
            self._connection.execute(mine.values(due=None))  # else it would be the first to be due for ever
        return [group for _, group in read if group is not None]

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
        found = groups.update().where(groups.c.room == room, groups.c.issue == issue)
        self._connection.execute(found.values(thread_root=thread_root))

    def forget_unsent(self, room: str, issue: str) -> None:
        """The notification of this problem was put off and will not be sent: what comes next is a notification."""
        mine = (groups.c.room == room, groups.c.issue == issue, groups.c.thread_root == 0)
        self._connection.execute(groups.delete().where(*mine))

    def set_mentioned(self, room: str, issue: str, who: str) -> None:
        """This owner of the problem was mentioned in the room."""
        found = groups.update().where(groups.c.room == room, groups.c.issue == issue)
        self._connection.execute(found.values(mentioned=who))

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
        rows = sorted((dict(group.__dict__) for group in changed), key=lambda row: (row["room"], row["issue"]))
        if not rows:
            return
        self._connection.execute(upsert(self._connection, groups), rows)

    def forget(self, before: float, limit: int) -> int:
        """Drop at most `limit` groups without an alert since `before`; how many were dropped."""
        old = select(groups.c.room, groups.c.issue).where(groups.c.at < before).limit(limit)
        return self._connection.execute(groups.delete().where(tuple_(groups.c.room, groups.c.issue).in_(old))).rowcount

    def _group(self, row: Row[Any]) -> Group | None:
        # Where it cannot be read it is as if nothing was sent, until it is written again.
        key = (row.room, row.issue)
        return self._corrupt_rows.read("groups", key, lambda: Group(*(getattr(row, name) for name in _NAMES)))

    def set_aside(self, room: str, issue: str) -> None:
        """What is due of this group cannot be done: it is looked at again when something happens."""
        self._corrupt_rows.note("groups", (room, issue))
        self._connection.execute(groups.update().where(groups.c.room == room, groups.c.issue == issue).values(due=None))
