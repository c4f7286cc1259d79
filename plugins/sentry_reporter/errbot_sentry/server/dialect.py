"""The base of the three dialects: a cache of the projects, and the check that a change was made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, NoReturn, TypeVar

from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.errors import NotAsAsked, ServerError, Unsupported
from errbot_sentry.domain.issues import (
    Assignee,
    Comment,
    Counts,
    Event,
    Issue,
    IssueActivity,
    Monitor,
    Page,
    Project,
    ResolveIn,
    SuspectCommit,
    TagSpread,
)
from errbot_sentry.domain.json_values import MOST_ROWS
from errbot_sentry.domain.locks import Lock
from errbot_sentry.server.http.client import Transport
from errbot_sentry.server.payloads.json_fields import Fields, read_rows
from errbot_sentry.server.protocol import Health

CACHE_SECONDS = 300.0
_FRESH_SECONDS = 5.0
T = TypeVar("T")


class ProjectCache:
    """The server's projects, which change rarely and are needed by almost every command.

    The list is fetched when it is too old. Threads that need it meanwhile wait for the thread that fetches it, and get
    the same error if that fails. Otherwise, if the server does not answer, each thread would wait for all before it and
    then try itself, and would block Errbot's command threads for minutes.
    """

    def __init__(self, fetch: Callable[[], tuple[Project, ...]], clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = Lock()
        self._projects: tuple[Project, ...] = ()
        self._fetched: float | None = None
        self._tries = 0
        self._failed: ServerError | None = None

    def all(self, oldest: float = CACHE_SECONDS) -> tuple[Project, ...]:
        """All projects, as they were at most `oldest` seconds ago.

        Raises:
            ServerError: this thread, or the one that it waited for, could not fetch the list.
        """
        tries = self._tries
        with self._lock:
            if self._fetched is None or self._clock.monotonic() - self._fetched > oldest:
                if self._tries != tries and self._failed is not None:
                    raise self._failed.again() from self._failed
                self._try()
            return self._projects

    def by_id(self, project_id: str) -> Project | None:
        """The project with this id. If the list does not have it, the list is fetched again."""
        return self._find(lambda project: project.id == project_id)

    def by_slug(self, slug: str) -> Project | None:
        """The project with this slug, ignoring case; otherwise like `by_id`."""
        return self._find(lambda project: project.slug.casefold() == slug.casefold())

    def _find(self, fits: Callable[[Project], bool]) -> Project | None:
        for oldest in (CACHE_SECONDS, _FRESH_SECONDS):
            if found := next(filter(fits, self.all(oldest)), None):
                return found
        return None

    def _try(self) -> None:
        self._failed = None
        try:
            self._projects = self._fetch()
            self._fetched = self._clock.monotonic()
        except ServerError as error:
            self._failed = error
            raise
        finally:
            self._tries += 1


class Dialect:
    """The base of `Sentry`, `GlitchTip` and `Bugsink`, each of which is a `server.protocol.Server`.

    `refusals` has the methods that this kind of server can never do, each with a sentence for people. Methods that some
    kind does not have are defined here, and raise Unsupported; the other kinds override them.
    """

    kind = ""
    refusals: Mapping[str, str] = MappingProxyType({})

    def __init__(self, transport: Transport, url: str, clock: Clock) -> None:
        self._transport = transport
        self._url = url
        self._clock = clock
        self._project_cache = ProjectCache(self._fetch_projects, clock)

    def projects(self) -> tuple[Project, ...]:
        return self._project_cache.all()

    def check(self) -> None:
        self._project_cache.all(_FRESH_SECONDS)

    def health(self) -> Health:
        return self._transport.health(self.kind)

    def refusal(self, method: str) -> str:
        return self.refusals.get(method, "")

    def comments(self, issue: Issue) -> tuple[Comment, ...]:
        self._refuse("comments")

    def tags(self, issue: Issue) -> tuple[TagSpread, ...]:
        self._refuse("tags")

    def tag_values(self, issue: Issue, key: str) -> TagSpread:
        self._refuse("tag_values")

    def project_counts(self, project: Project, span: timedelta) -> Counts:
        self._refuse("project_counts")

    def resolve_in(self, issue: Issue, when: ResolveIn) -> Issue:
        self._refuse("resolve_in")

    def assign(self, issue: Issue, assignee: Assignee | None) -> Issue:
        self._refuse("assign")

    def set_priority(self, issue: Issue, priority: str) -> Issue:
        self._refuse("set_priority")

    def merge(self, issues: tuple[Issue, ...]) -> Issue:
        self._refuse("merge")

    def read_activity(self, issue_id: str) -> tuple[IssueActivity, ...]:
        self._refuse("read_activity")

    def read_suspect_commits(self, issue: Issue, event: Event) -> tuple[SuspectCommit, ...]:
        self._refuse("read_suspect_commits")

    def read_owners(self, issue: Issue, event: Event) -> tuple[Assignee, ...]:
        self._refuse("read_owners")

    def read_teams(self, mail: str) -> tuple[str, ...]:
        self._refuse("read_teams")

    def read_monitors(self, projects: tuple[Project, ...]) -> tuple[Monitor, ...]:
        self._refuse("read_monitors")

    def _refuse(self, method: str) -> NoReturn:
        raise Unsupported(self.refusals[method])

    def _fetch_projects(self) -> tuple[Project, ...]:
        """All projects that the token may see."""
        raise NotImplementedError

    def _page_of(self, value: Any, thing: str, read: Callable[[Fields], T], most: int = MOST_ROWS) -> Page[T]:
        """The rows of an answer that can be read. The others are skipped and counted, and each cause is logged once.

        Raises:
            BadAnswer: the value is not a list, or not one of its rows can be read.
        """
        found, causes = read_rows(value, thing, read, most)
        if causes:
            self._transport.note_unreadable(thing, len(found), causes)
        return Page(found, skipped=len(causes))

    def _confirm(self, issue: Issue, answered: Issue, status: str) -> Issue:
        """The issue in the server's answer, if it is the changed issue and has this status.

        A change counts only if the answer shows it, because some servers answer 200 to a change that they ignore.

        Raises:
            NotAsAsked: it is another issue, or has another status.
        """
        host = self._transport.host
        if answered.id != issue.id:
            raise NotAsAsked(
                f"{host} was asked to change {issue.short_id}, but answered with another issue: look at it there."
            )
        if answered.status != status:
            raise NotAsAsked(
                f"{host} took the request, but {issue.short_id} is {answered.status} there and not {status}: "
                "look at it there."
            )
        return answered

    def _not_shown(self, issue: Issue, what: str) -> NotAsAsked:
        """The error for an answer that does not show the change, which is `what` ("archived until it escalates")."""
        return NotAsAsked(
            f"{self._transport.host} took the request, but does not say that {issue.short_id} is {what}: "
            "look at it there."
        )
