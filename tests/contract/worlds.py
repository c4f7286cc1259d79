"""The three servers as one thing for the scenarios: a stand-in for Sentry, one for GlitchTip, a real Bugsink.

Scenarios speak to a server only through the product's own `Server`; what they need besides (to make an issue, to look
at what really is there) is in a World.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any, Protocol

from errbot_sentry.config.secrets import Secret
from errbot_sentry.config.settings import ServerSettings
from errbot_sentry.domain.issues import ARCHIVED, RESOLVED, UNRESOLVED, Project
from errbot_sentry.server.connection import Connection
from errbot_sentry.server.http.calls import Exchange, Limits
from errbot_sentry.server.protocol import BUGSINK, GLITCHTIP, SENTRY, Server
from tests.clocks import ShiftedClock
from tests.fakes.glitchtip_server import GlitchTipServer
from tests.fakes.sentry_server import SentryServer
from tests.fakes.tracker import TrackedIssue, Tracker
from tests.servers.bugsink import BugsinkProject

TOKENS = {SENTRY: "sntryu_" + "a1" * 20, GLITCHTIP: "b2" * 32}
LIMITS = Limits(connect=10, read=30, total=60)  # real servers on a busy machine
_WORDS = {"unresolved": UNRESOLVED, "resolved": RESOLVED, "ignored": ARCHIVED}


@dataclass(frozen=True)
class Known:
    """An issue that a scenario has made."""

    id: str
    short_id: str
    event_id: str
    project: str


class World(Protocol):
    """What a scenario needs besides the server itself. `web` and `api` are slugs of two projects."""

    kind: str
    settings: ServerSettings
    web: str
    api: str

    def add(self, project: str, kind: str, value: str, **tags: str) -> Known:
        """A new issue with one event, seen now: later than all before."""
        ...

    def again(self, known: Known, **tags: str) -> str:
        """One more event of an issue; its id."""
        ...

    def status(self, known: Known) -> str:
        """The status that the server has, seen without our client."""
        ...

    def set_status(self, known: Known, status: str) -> None:
        """Somebody else resolves or archives it in the browser."""
        ...

    def notes(self, known: Known) -> list[str]:
        """The notes on an issue, seen without our client."""
        ...

    def add_release(self, project: str, version: str) -> None:
        """A release that is newer than all before."""
        ...


class Session:
    """A world and our client on it. `exchanges` are all requests so far."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.clock = ShiftedClock()
        self.exchanges: list[Exchange] = []
        self._connections: list[Connection] = []

    @property
    def kind(self) -> str:
        return self.world.kind

    def connect(self, **settings: Any) -> Connection:
        """A connection of its own, with other settings where given."""
        made = Connection(
            replace(self.world.settings, **settings),
            self.clock,
            limits=LIMITS,
            sleep=lambda _seconds: None,
            observe=self.exchanges.append,
        )
        self._connections.append(made)
        return made

    @property
    def server(self) -> Server:
        """Our client, of the kind that it has found out itself."""
        if not self._connections:
            self.connect()
        return self._connections[0].server()

    def project(self, slug: str) -> Project:
        return next(project for project in self.server.projects() if project.slug == slug)

    def requests_of(self, invocation: Any) -> list[str]:
        """The requests that a call costs, as "GET path"."""
        before = len(self.exchanges)
        invocation()
        return [f"{exchange.method} {exchange.path}" for exchange in self.exchanges[before:]]

    def close(self) -> None:
        for connection in self._connections:
            connection.close()


class TrackerWorld:
    """One of the stand-ins."""

    def __init__(self, kind: str, server: SentryServer | GlitchTipServer) -> None:
        self.kind = kind
        self.server = server
        self.tracker = server.tracker
        self.web, self.api = "web", "api"
        for slug in ("web", "api", "third"):
            self.tracker.add_project(slug)
        self.settings = ServerSettings(server.url, "auto", Secret(self.tracker.token), self.tracker.org)
        self._age = 1000

    def add(self, project: str, kind: str, value: str, **tags: str) -> Known:
        issue = self.tracker.add_issue(project, kind, value, self._next_age(), **tags)
        return Known(issue.id, issue.short_id, issue.events[0].id, project)

    def again(self, known: Known, **tags: str) -> str:
        return self.tracker.add_event(self.issue(known), self._next_age(), **tags).id

    def status(self, known: Known) -> str:
        return _WORDS[self.issue(known).status]

    def set_status(self, known: Known, status: str) -> None:
        words = {ours: word for word, ours in _WORDS.items()}
        self.issue(known).status = words[status]

    def notes(self, known: Known) -> list[str]:
        return [text for text, _at in self.issue(known).notes]

    def add_release(self, project: str, version: str) -> None:
        self.tracker.add_release(version, project, self._next_age())

    def issue(self, known: Known) -> TrackedIssue:
        return next(issue for issue in self.tracker.issues if issue.id == known.id)

    def _next_age(self) -> timedelta:
        self._age -= 1
        return timedelta(seconds=self._age)


class BugsinkWorld:
    """A real Bugsink with two fresh projects."""

    kind = BUGSINK

    def __init__(self, web: BugsinkProject, api: BugsinkProject) -> None:
        self._projects = {web.slug: web, api.slug: api}
        self.web, self.api = web.slug, api.slug
        self.settings = ServerSettings(web.url, "auto", Secret(web.token), "")
        self._kinds: dict[str, tuple[str, str]] = {}

    def add(self, project: str, kind: str, value: str, **tags: str) -> Known:
        event_id = self._send(project, kind, value, tags)
        row = next(row for row in self._projects[project].issues() if row["calculated_type"] == kind)
        self._kinds[row["id"]] = (kind, value)
        return Known(row["id"], row["friendly_id"], event_id, project)

    def again(self, known: Known, **tags: str) -> str:
        kind, value = self._kinds[known.id]
        return self._send(known.project, kind, value, tags)

    def status(self, known: Known) -> str:
        row = self._row(known)
        return RESOLVED if row["is_resolved"] else ARCHIVED if row["is_muted"] else UNRESOLVED

    def set_status(self, known: Known, status: str) -> None:
        action = {RESOLVED: "resolve", ARCHIVED: "mute"}[status]
        self._projects[known.project].api("POST", f"issues/{known.id}/{action}/")

    def notes(self, known: Known) -> list[str]:
        return self._projects[known.project].comments(known.id)

    def add_release(self, project: str, version: str) -> None:
        owner = self._projects[project]
        owner.api("POST", "releases/", {"project": owner.id, "version": version})

    def _row(self, known: Known) -> dict[str, Any]:
        return self._projects[known.project].issue(known.id)

    def _send(self, project: str, kind: str, value: str, tags: dict[str, str]) -> str:
        fields = {name: tags[name] for name in ("release", "environment") if name in tags}
        return self._projects[project].send_event(kind, value, tags=tags, **fields)

    def send(self, known: Known, **fields: Any) -> str:
        """One more event with these fields, as an SDK would send it."""
        kind, value = self._kinds[known.id]
        return self._projects[known.project].send_event(kind, value, **fields)


def sentry_world(stack: ExitStack) -> TrackerWorld:
    server = stack.enter_context(SentryServer(Tracker(TOKENS[SENTRY], datetime.now(timezone.utc))))
    return TrackerWorld(SENTRY, server)


def glitchtip_world(stack: ExitStack, *, newer: bool = False) -> TrackerWorld:
    server = stack.enter_context(GlitchTipServer(Tracker(TOKENS[GLITCHTIP], datetime.now(timezone.utc)), newer=newer))
    return TrackerWorld(GLITCHTIP, server)


def session_of(world: World) -> Iterator[Session]:
    """A session that is closed afterwards, and whose requests were all as Sentry's description wants them."""
    session = Session(world)
    yield session
    session.close()
    if isinstance(world, TrackerWorld) and isinstance(world.server, SentryServer):
        assert not world.server.deviations
