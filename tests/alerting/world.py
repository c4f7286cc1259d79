"""The alert flow under a virtual clock: real store, real templates, real flow; a server and a chat in memory.

A test is a time line: things happen `at` a second, and `messages` says what the rooms received, when, and that
they received nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from errbot import rendering
from msgspec.structs import replace
from sqlalchemy import Connection, Engine, event

from errbot_sentry.alerting.receive.receiver import WebhookAnswer
from errbot_sentry.alerting.service import AlertService
from errbot_sentry.alerting.worker import Worker
from errbot_sentry.chat.render.layout import Layout
from errbot_sentry.chat.render.templates import PlainTemplates, Templates
from errbot_sentry.commands.dispatch import Commands
from errbot_sentry.config.routes import read_route
from errbot_sentry.config.settings import AlertSettings, CommandSettings
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.conversation import Conversation, Invocation, Person, Upload, direct_room
from errbot_sentry.domain.errors import NotConnected, NotFound, RoomUnknown, SendError, ServerError
from errbot_sentry.domain.issues import RESOLVED, UNRESOLVED, Event, Issue, IssueQuery, Page, Project
from errbot_sentry.domain.outgoing import Outgoing
from errbot_sentry.reporting.redact.event_masking import masked_title
from errbot_sentry.server.bugsink import Bugsink
from errbot_sentry.server.protocol import BUGSINK, SENTRY, FindServer, Health
from tests.alerting import bodies
from tests.clocks import START, SteppedClock, VirtualClock
from tests.fakes.memory_server import MemoryServer
from tests.stores import is_open, store_at
from tests.waiting import until

_TEMPLATES, _RENDER, _LAYOUT = Templates("text"), rendering.text(), Layout("text", 100_000)
SHOP = Project("7", "shop", "Shop")
ANN = Person("@ann", "Ann")


class IssueServer:
    """A server of issues that obeys the Server protocol as far as alerts ask it."""

    def __init__(self, clock: VirtualClock, kind: str = SENTRY, projects: tuple[Project, ...] = (SHOP,)) -> None:
        self.clock = clock
        self.kind = kind
        self.known_projects = projects
        self.by_id: dict[str, Issue] = {}
        self.asked: list[tuple[IssueQuery, str | None]] = []
        self.looked_up: list[str] = []
        self.failure: ServerError | None = None
        self.latest: dict[str, Event] = {}
        self.events_asked: list[str] = []
        self.event_failure: ServerError | None = None
        self.teams: dict[str, tuple[str, ...]] = {}

    def event(self, issue_id: str, project: Project = SHOP, **fields: Any) -> Issue:
        """An event happens: its issue is new, or seen again."""
        now = self.clock.now()
        issue = self.by_id.get(issue_id) or Issue(
            issue_id, f"{project.slug.upper()}-{issue_id}", f"KeyError: {issue_id}", project, level="error",
            first_seen=now, events=0, link=f"https://sentry.example.com/organizations/acme/issues/{issue_id}/",
        )  # fmt: skip
        self.by_id[issue_id] = replace(issue, last_seen=now, events=(issue.events or 0) + 1, **fields)
        return self.by_id[issue_id]

    def change(self, issue_id: str, **fields: Any) -> None:
        """Someone changes an issue on the server."""
        self.by_id[issue_id] = replace(self.by_id[issue_id], **fields)

    def projects(self) -> tuple[Project, ...]:
        self._fail()
        return self.known_projects

    def issues(self, query: IssueQuery, cursor: str | None = None) -> Page[Issue]:
        self.asked.append((query, cursor))
        self._fail()
        rows = sorted(self.by_id.values(), key=lambda issue: (issue.last_seen, issue.id), reverse=True)
        wanted = {project.slug for project in query.projects}
        rows = [row for row in rows if not wanted or row.project.slug in wanted]
        rows = [row for row in rows if query.status is None or row.status == query.status]
        start = int(cursor or 0)
        end = start + query.limit
        return Page(tuple(rows[start:end]), next=str(end) if end < len(rows) else None)

    def issues_by_id(self, ids: tuple[str, ...]) -> tuple[Issue, ...]:
        self.looked_up.append(" ".join(ids))
        self._fail()
        return tuple(self.by_id[each] for each in ids if each in self.by_id)

    def issue(self, issue_id: str) -> Issue:
        self.looked_up.append(issue_id)
        self._fail()
        if issue_id not in self.by_id:
            raise NotFound("There is no such issue.")
        return self.by_id[issue_id]

    def latest_event(self, issue: Issue) -> Event | None:
        self.events_asked.append(issue.id)
        self._fail()
        if self.event_failure is not None:
            raise self.event_failure
        return self.latest.get(issue.id)

    def resolve(self, issue: Issue) -> Issue:
        self._fail()
        self.change(issue.id, status=RESOLVED, substatus=None)
        return self.by_id[issue.id]

    def read_teams(self, mail: str) -> tuple[str, ...]:
        self._fail()
        return self.teams.get(mail, ())

    def refusal(self, method: str) -> str:
        return Bugsink.refusals.get(method, "") if self.kind == BUGSINK else ""

    def health(self) -> Health:
        return Health(self.kind, "https://sentry.example.com")

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure


@dataclass(frozen=True)
class SentMessage:
    """A message as a room got it; `at` is seconds since the start."""

    at: float
    room: str
    text: str
    thread: str = ""
    buttons: tuple[str, ...] = ()


@dataclass
class Chat:
    """A chat network that records. `refuses` maps rooms to the error that they answer with.

    Messages have ids, and can be edited, where it has `threads` or `edits`.
    """

    clock: VirtualClock
    settle: float = 0.0
    silent: bool = False
    threads: bool = False
    edits: bool = False
    generation: int = 1
    up: bool = True
    refuses: dict[str, SendError] = field(default_factory=dict)
    sent: list[SentMessage] = field(default_factory=list)
    edited: list[SentMessage] = field(default_factory=list)
    edit_refuses: SendError | None = None
    edits_tried: int = 0
    files: list[tuple[str, Upload]] = field(default_factory=list)
    file_failure: Exception | None = None

    @property
    def has_threads(self) -> bool:
        return self.threads

    def is_silent(self) -> bool:
        return self.silent

    def connection(self) -> str:
        return str(self.generation) if self.up else ""

    def drop(self) -> None:
        self.up = False
        self.generation += 1

    def post(self, room: str, message: Outgoing, thread: str = "") -> str:
        if not self.up:
            raise NotConnected("Offline.")
        if room in self.refuses:
            raise self.refuses[room]
        at = (self.clock.now() - START).total_seconds()
        buttons = () if message.card is None else tuple(button.action for button in message.card.buttons)
        self.sent.append(SentMessage(at, room, message.whole, thread, buttons))
        return f"m{len(self.sent)}" if self.threads or self.edits else ""

    def edit(self, room: str, sent_id: str, message: Outgoing) -> bool:
        if not self.up:
            raise NotConnected("Offline.")
        self.edits_tried += 1
        if self.edit_refuses is not None:
            raise self.edit_refuses
        if self.threads or self.edits:
            self.edited.append(SentMessage((self.clock.now() - START).total_seconds(), room, message.whole, sent_id))
        return self.threads or self.edits

    def send_file(self, room: str, upload: Upload) -> None:
        self.files.append((room, upload))
        if self.file_failure is not None:
            raise self.file_failure


class SteppedWorker:
    """A worker without a thread: `World.at` takes a step when its time has come or when it was woken."""

    def __init__(self, name: str, step: Callable[[], float | None]) -> None:
        self.name = name
        self.step = step
        self.running = False
        self.woken = False
        self.due: float | None = None

    def start(self) -> None:
        self.running = self.woken = True

    def wake(self) -> None:
        self.woken = True

    def stop(self) -> None:
        self.running = False

    def join(self, deadline: float) -> bool:
        return True

    def is_ready(self, now: float) -> bool:
        return self.running and (self.woken or (self.due is not None and self.due <= now))


_HURRIED: set[str | None] = set()
_COMPILED: dict[Any, Any] = {}


@event.listens_for(Engine, "engine_connect")
def _hurry(connection: Connection) -> None:
    """Virtual hours have thousands of commits; that each is on the disk is tested elsewhere. Each world is an engine of
    its own, which would compile every statement again."""
    if connection.engine.url.database in _HURRIED:
        connection.connection.driver_connection.execute("PRAGMA synchronous=OFF")
        connection.execution_options(compiled_cache=_COMPILED)


class World:
    """Everything, driven step by step without a thread.

    With `threads` it is driven by its own threads, from `flow.start()` on; `at` and `step` are not for it.
    """

    def __init__(
        self,
        folder: Path,
        routes: list[dict[str, Any]],
        *,
        kind: str = SENTRY,
        projects: tuple[Project, ...] = (SHOP,),
        poll: float = 60,
        access: Access | None = None,
        url: str = "",
        clock: Any = None,
        server: IssueServer | None = None,
        chat: Chat | None = None,
        find_server: FindServer | None = None,
        threads: bool = False,
        **settings: Any,
    ) -> None:
        self.clock = clock or VirtualClock()
        self.server = server or IssueServer(self.clock, kind, projects)
        self.chat = chat or Chat(self.clock)
        self.url = url or f"sqlite:///{folder / 'state.sqlite3'}"
        settings = {"webhook_secrets": (bodies.SECRET,), "webhook_tokens": (bodies.TOKEN,), **settings}
        self.settings = AlertSettings(tuple(read_route(route) for route in routes), poll_seconds=poll, **settings)
        self.access = access or Access(writers=("*",))
        self._find_server = find_server or (lambda: self.server)
        self._threads = threads
        self._requests = 0
        self.boot()

    def boot(self) -> None:
        """Start on whatever is on disk, as after a crash: nothing of the run before is closed properly."""
        self.store = store_at(self.url)
        if self.store.shared:  # on a busy machine it takes longer than what a bot gives it
            until(lambda: is_open(self.store), 60, "the database server answers")
        self._typed: Commands | None = None
        self.workers: dict[str, SteppedWorker] = {}
        self.away_since: float | None = None
        if self.url.startswith("sqlite"):
            _HURRIED.add(self.url.removeprefix("sqlite:///"))
        self.flow = AlertService(
            self.settings, self.access, self.store, self._find_server, self.chat, _TEMPLATES, self.clock,
            make_worker=Worker if self._threads else self.make_worker, chance=random.Random(1),
            plain=PlainTemplates(), mask=masked_title, away_since=lambda: self.away_since,
        )  # fmt: skip
        if not self._threads:
            self.flow.start()

    def restart(self, access: Access) -> None:
        """The operator has changed who may see what, and starts the bot again."""
        self.access = access
        self.boot()

    def make_worker(self, name: str, step: Callable[[], float | None]) -> Any:
        """A worker that steps with the others."""
        self.workers[name] = SteppedWorker(name, step)
        return self.workers[name]

    def put_right(self, seconds: float) -> None:
        """Change the bot's time of day; threads sleep on for as long as they meant to."""
        assert isinstance(self.clock, SteppedClock)
        self.clock.advance(seconds)
        self.clock.offset += seconds
        for worker in self.workers.values():
            worker.due = None if worker.due is None else worker.due + seconds

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return (self.clock.now() - START).total_seconds()

    def hook(self, body: dict[str, Any], resource: str = "issue", request_id: str = "") -> WebhookAnswer:
        """A signed webhook arrives."""
        raw = bodies.encode(body)
        self._requests += 1
        return self.flow.receiver.take(bodies.signed(raw, resource, request_id or f"r{self._requests}"), raw, None)

    def type(self, line: str, room: str = "#ops", person: Person = ANN, thread: str = "") -> str:
        """Somebody types `!sentry LINE` in a room ("" for a direct message); the reply. Raises UserError."""
        room = room or direct_room(person.address)
        if self._typed is None:
            self._typed = self.commands()
        name, _, words = line.partition(" ")
        views = self._typed.run(name, Invocation(person, Conversation(room, thread), words))
        text = "\n".join(_TEMPLATES.render(view.template, view.values) for view in views)
        return _RENDER.convert(text).strip()

    def commands(self) -> Commands:
        """The commands of this flow's bot; they find the issues that the server has by now."""
        issues = self.server.by_id.values()
        server = MemoryServer(issues, projects=self.server.known_projects, now=self.clock.now)
        server.teams = self.server.teams
        return Commands(lambda: server, self.access, CommandSettings(), self.clock, self.store, alerts=self.flow)

    def plain_hook(self, body: dict[str, Any]) -> WebhookAnswer:
        """A webhook arrives on the secret path."""
        return self.flow.receiver.take({}, bodies.encode(body), bodies.TOKEN.reveal())

    def at(self, seconds: float) -> World:
        """Let everything happen until this second: each worker steps when its time has come or when it is woken."""
        end = START.timestamp() + seconds
        while True:
            due = self._settle()
            if due is None or due > end:
                self.clock.at = max(datetime.fromtimestamp(end, timezone.utc), self.clock.at)
                return self
            self.clock.at = max(datetime.fromtimestamp(due, timezone.utc), self.clock.at + timedelta(milliseconds=1))

    def step(self, name: str) -> float | None:
        """Let one worker take one step now, such as "poller"; the seconds that it wants to sleep afterwards."""
        worker = self.workers[name]
        worker.woken = False
        wait = worker.step()
        worker.due = None if wait is None else self.clock.now().timestamp() + wait
        return wait

    def _settle(self) -> float | None:
        """Let the workers work until all of them sleep; when the first one wants to be woken."""
        for _ in range(100_000):
            now = self.clock.now().timestamp()
            ready = [worker.name for worker in self.workers.values() if worker.is_ready(now)]
            if not ready:
                waiting = [worker.due for worker in self.workers.values() if worker.running]
                return min((due for due in waiting if due is not None), default=None)
            for name in ready:
                self.step(name)
        raise AssertionError("the flow never comes to rest")

    def texts(self, room: str | None = None) -> list[str]:
        """What a room, or all of them, received since the last call, as Errbot prints it and without the links."""
        texts = [_shown(each) for each in self.chat.sent if room in (None, each.room)]
        self.chat.sent.clear()
        return texts

    def messages(self, room: str | None = None) -> list[str]:
        """What a room, or all of them, received since the last call, each as `SECOND ROOM[/THREAD] TEXT`."""
        lines = [
            f"{round(each.at)} {each.room}{'/' + each.thread if each.thread else ''} {_shown(each)}"
            for each in self.chat.sent
            if room in (None, each.room)
        ]
        self.chat.sent.clear()
        return lines

    @staticmethod
    def shown(text: str) -> str:
        """A message as people see it, with its link."""
        lines = "\n\n".join(_LAYOUT.messages(text))
        return "\n".join(line.strip() for line in _RENDER.convert(lines).split("\n") if line.strip())

    def reasons(self, room: str) -> list[str]:
        """The named decisions for a room, oldest first."""
        with self.store.read() as tx:
            return [each.name for each in tx.inbox.decided(room, 100)][::-1]


def _shown(message: SentMessage) -> str:
    """The lines of a message as people see them, without the link."""
    return World.shown(message.text).split(" · ")[0]


__all__ = ["SHOP", "START", "UNRESOLVED", "Chat", "IssueServer", "RoomUnknown", "VirtualClock", "World"]
