"""Polls the server for what webhooks missed: one request per organization (Sentry, GlitchTip) or project (Bugsink).

It reads the issues, those last seen first, until it comes to issues that it has read before. It compares them with what
is known, and puts news into the inbox, as a webhook does. The store remembers how far it has read.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from errbot_sentry.alerting.receive.poll_diff import alert_of, compare, seconds
from errbot_sentry.config.routes import Route
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.alerts import Alert
from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.conversation import Conversation
from errbot_sentry.domain.errors import ServerError
from errbot_sentry.domain.issues import Issue, IssueQuery, Project
from errbot_sentry.server.protocol import BUGSINK, FindServer, Server
from errbot_sentry.store.database import LOCK_DECIDE, Store
from errbot_sentry.store.records import Delivery, DeliveryKey, PollMark

PAGE_SIZE = 100
MOST_PAGES = 10  # of one scope at one poll: enough for an outage of an hour
LONGEST_PAUSE = 900.0
_JITTER = 0.1
_AWAY, _AWAY_POLLS = 120.0, 3.0  # seconds, or intervals if they are longer


@dataclass(frozen=True)
class Scope:
    """What one request covers: one project or the whole organization."""

    name: str
    project: Project | None = None


class Poller:
    """Polls the server every `interval` seconds."""

    def __init__(
        self,
        interval: float,
        store: Store,
        find_server: FindServer,
        routes: Callable[[], Sequence[Route]],
        access: Access,
        clock: Clock,
        on_found: Callable[[], None],
        chance: random.Random | None = None,
    ) -> None:
        """`on_found` is called after alerts were put into the inbox. `chance` returns random numbers for the jitter."""
        self._interval = interval
        self._store = store
        self._find_server = find_server
        self._routes = routes
        self._access = access
        self._clock = clock
        self._on_found = on_found
        self._chance = chance or random.Random()  # noqa: S311 - jitter, no secret
        self._hurry = False
        self._fails = 0
        self.asked: float | None = None
        self.error = ""

    def hurry(self) -> None:
        """Poll at the next step, even if it is not due: a sender has left out some issues."""
        self._hurry = True

    def step(self) -> float | None:
        """Poll what is due; returns the seconds until the next poll, None if nothing is ever polled."""
        if self._interval <= 0 or not self._routes():
            return None
        hurry, self._hurry = self._hurry, False
        try:
            server = self._find_server()
            scopes = self._scopes(server)
        except ServerError as error:
            self._fails += 1
            self.error = str(error)
            return self._pause(self._fails, error)
        self._fails = 0
        due = [self._poll(server, scope, hurry=hurry) for scope in scopes]
        return max(0.0, min(due, default=self._now() + self._interval) - self._now())

    def _scopes(self, server: Server) -> list[Scope]:
        url = server.health().url
        if server.kind != BUGSINK:
            return [Scope(f"{url} *")]
        return [
            Scope(f"{url} {project.slug}", project)
            for project in server.projects()
            if self._some_room_sees(project.slug)
        ]

    def reads(self, slug: str, kind: str) -> bool:
        """Whether the issues of this project are polled, on this kind of server."""
        wanted = self._interval > 0 and bool(self._routes())
        return wanted and (kind != BUGSINK or self._some_room_sees(slug))

    def _some_room_sees(self, slug: str) -> bool:
        rooms = {room for route in self._routes() for room in route.rooms}
        return any(self._access.may_see(slug, Conversation(room)) for room in rooms)

    def _poll(self, server: Server, scope: Scope, *, hurry: bool) -> float:
        """Poll one scope if it is due; returns when it is due again."""
        now = self._now()
        with self._store.write() as tx:
            mark = tx.polls.get(scope.name)
            # Until this time no other bot on the same state polls this scope.
            late = mark.next_at if hurry and mark is not None else now
            if not tx.polls.claim(scope.name, max(now, late), now + self._interval):
                return now + self._interval if mark is None else mark.next_at
        try:
            issues, complete = self._read(server, scope, mark)
        except ServerError as error:
            return self._failed(scope, mark, error)
        self._keep(scope, mark, issues, now, complete=complete)
        self.asked, self.error = self._now(), ""
        return self._next_at(now)

    def _read(self, server: Server, scope: Scope, mark: PollMark | None) -> tuple[list[Issue], bool]:
        """The issues since the mark, and whether these are all that there are.

        They are not all if some row could not be read: an issue of before the first poll would count as new later.
        """
        projects = (scope.project,) if scope.project else ()
        query = IssueQuery(projects=projects, sort="date", status=None, limit=PAGE_SIZE)
        found: dict[str, Issue] = {}
        cursor: str | None = None
        skipped = 0
        for _ in range(MOST_PAGES):
            page = server.issues(query, cursor)
            found.update((issue.id, issue) for issue in page.items)
            skipped += page.skipped
            if page.next is None:
                return list(found.values()), not skipped
            if page.next == cursor or _reaches(page.items, mark):
                break
            cursor = page.next
        return list(found.values()), False

    def _keep(self, scope: Scope, mark: PollMark | None, issues: list[Issue], asked: float, *, complete: bool) -> None:
        # A time that lies ahead would be newer than all that comes: the mark stays within what has passed.
        newest = min(max((seconds(issue.last_seen) for issue in issues), default=0.0), asked)
        first = mark is None or not mark.answered_at
        before = PollMark(scope.name, newest, complete, newest, 0.0) if mark is None or first else mark
        news = 0
        amounts = [each for route in self._routes() for each in route.matchers if each.grows]
        away_since = before.answered_at if not first and asked - before.answered_at > self._away() else None
        with self._store.write() as tx:
            tx.alone(LOCK_DECIDE)  # decisions write known issues too, but only pollers write these deliveries
            known = tx.issues.get_many([issue.id for issue in issues])
            diffs = [(issue, compare(issue, known.get(issue.id), before, asked, amounts)) for issue in issues]
            diffs.sort(key=lambda pair: seconds(pair[0].last_seen))  # in the order in which things happened
            if not first:
                alerts = [alert_of(*pair, self._clock.now(), away_since) for pair in diffs if pair[1].reason]
                news = sum(tx.inbox.take_in([_delivery(alert, asked) for alert in alerts]))
            tx.issues.put(diff.known for issue, diff in diffs if diff.known != known.get(issue.id))
            tx.polls.put(
                replace(
                    before,
                    newest=max(newest, before.newest),
                    next_at=self._next_at(asked),
                    fails=0,
                    error="",
                    answered_at=asked,
                )
            )
        if news:
            self._on_found()

    def _away(self) -> float:
        """The seconds without an answer after which a poll counts as the first one after the bot was away."""
        return max(_AWAY_POLLS * self._interval, _AWAY)

    def _failed(self, scope: Scope, mark: PollMark | None, error: ServerError) -> float:
        self.error = str(error)
        before = mark or PollMark(scope.name, 0.0, False, 0.0, 0.0)
        pause = self._pause(before.fails + 1, error)
        failed = replace(before, fails=before.fails + 1, error=str(error), next_at=self._now() + pause)
        with self._store.write() as tx:
            tx.polls.put(failed)
        return failed.next_at

    def _pause(self, fails: int, error: ServerError) -> float:
        """The seconds to wait after a failure: more after each, at least what the server wants, and some jitter."""
        pause = min(self._interval * 2.0 ** min(fails - 1, 10), LONGEST_PAUSE)
        return max(pause, error.wait or 0.0) * (1 + self._chance.uniform(0, 2 * _JITTER))

    def _next_at(self, asked: float) -> float:
        return asked + self._interval * (1 + self._chance.uniform(-_JITTER, _JITTER))

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _delivery(alert: Alert, now: float) -> Delivery:
    return Delivery((DeliveryKey(alert.delivery),), (alert,), now)


def _reaches(issues: Sequence[Issue], mark: PollMark | None) -> bool:
    """Whether a page reaches issues that were read before; at the first poll there are none."""
    if mark is None or not mark.answered_at:
        return False
    return min((seconds(issue.last_seen) for issue in issues), default=0.0) <= mark.newest
