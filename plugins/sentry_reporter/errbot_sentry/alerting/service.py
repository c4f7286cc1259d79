"""The alert flow as one object: starts and stops the receiver, the poller, the pipeline and the senders together."""

from __future__ import annotations

import logging
import os
import random
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from importlib.util import find_spec
from typing import TYPE_CHECKING

from errbot_sentry.alerting.decide.decisions import DecisionName
from errbot_sentry.alerting.decide.enrich import Enricher, look_up
from errbot_sentry.alerting.decide.look_ups import LookUps, ReadIssue
from errbot_sentry.alerting.decide.pipeline import Pipeline
from errbot_sentry.alerting.decide.route_table import RouteTable
from errbot_sentry.alerting.decide.stages import Stages
from errbot_sentry.alerting.decide.team_memberships import TeamMemberships
from errbot_sentry.alerting.notify.digest_reports import Digests
from errbot_sentry.alerting.notify.fallback_sender import FallbackSender, FallbackStatus
from errbot_sentry.alerting.notify.ports import Network, Renderer
from errbot_sentry.alerting.notify.scheduler import Scheduler
from errbot_sentry.alerting.notify.sender import NotificationSender
from errbot_sentry.alerting.receive.backpressure import Backpressure
from errbot_sentry.alerting.receive.poller import Poller
from errbot_sentry.alerting.receive.receiver import WebhookReceiver
from errbot_sentry.alerting.worker import Worker
from errbot_sentry.config.settings import AlertSettings
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.alerts import Alert
from errbot_sentry.domain.clock import Clock, SystemClock
from errbot_sentry.domain.conversation import Conversation
from errbot_sentry.domain.errors import BadReference, StoreError
from errbot_sentry.domain.issue_actions import IssueAction, Options
from errbot_sentry.domain.issues import UNRESOLVED, Issue
from errbot_sentry.domain.locks import Lock
from errbot_sentry.server.protocol import FindServer, Server
from errbot_sentry.store.database import LOCK_DECIDE, Store

if TYPE_CHECKING:
    from errbot_sentry.store.transaction import Transaction

log = logging.getLogger(__name__)

LATELY = 3600.0
_MOST_LATE = (
    0.25  # seconds between looks at what is due while many alerts wait, because a look costs as much as a decision
)
_LAST_SECONDS = 1.5  # seconds for transactions when the bot is ending
_SHARED_PAUSE = 1.0  # seconds between looks for alerts that another bot on the same state has stored


@dataclass(frozen=True)
class AlertsStatus:
    """What `!sentry status` and `/sentry/health` show of this flow. Times are aware, spans are seconds.

    `webhook_last` is the time of the last authentic delivery since the start, `webhook_refused` why it was refused.
    `poll_lag` is the time since the last answered poll. `waiting` counts alerts without a decision, `queue` messages
    not yet sent, `failed` undeliverable ones, `failed_lately` those of the last hour, and `deferred` notifications that
    are put off. `decided` counts decisions by name. Since the start, `damaged` counts corrupt rows by table, `without`
    alerts that were decided without the server's answer, by reason, and `edits_given_up` edits of notifications that
    the chat network did not take.
    """

    running: bool
    database_ok: bool
    database_error: str = ""
    webhook_last: datetime | None = None
    webhook_refused: str = ""
    poll_lag: float | None = None
    poll_error: str = ""
    waiting: int = 0
    queue: int = 0
    oldest: datetime | None = None
    failed: int = 0
    failed_lately: int = 0
    deferred: int = 0
    decided: Mapping[str, int] = field(default_factory=dict)
    damaged: Mapping[str, int] = field(default_factory=dict)
    without: Mapping[str, int] = field(default_factory=dict)
    edits_given_up: int = 0
    fallback: FallbackStatus | None = None


class AlertService:
    """The alert flow; it runs between `start` and `close`, and can be started again."""

    def __init__(
        self,
        settings: AlertSettings,
        access: Access,
        store: Store,
        find_server: FindServer,
        network: Network,
        renderer: Renderer,
        clock: Clock | None = None,
        *,
        make_worker: Callable[[str, Callable[[], float | None]], Worker] = Worker,
        chance: random.Random | None = None,
        plain: Renderer | None = None,
        mask: Callable[[str], str] = lambda text: text,
        away_since: Callable[[], float | None] = lambda: None,
    ) -> None:
        """`make_worker` makes a worker from a name and a step. `chance` returns random numbers for the poller's jitter.

        `plain` renders plain text for the fallback; None if there is no fallback. `mask` removes credentials from texts
        of errors, before a message goes to a room or to the fallback.

        `away_since` returns when the connection to the chat network was lost, or the bot was started without one. It
        returns None while there is a connection.
        """
        self._access = access
        self._store = store
        self._clock = clock or SystemClock()
        owner = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self.receiver = WebhookReceiver(settings, store, self._clock, self._on_stored)
        self.routes = RouteTable(settings.routes, store, self._clock, settings.fallback)
        self._find_server = find_server
        self._server: Server | None = None  # once it has answered
        self._look_ups = LookUps(self._known_server, self._look_up, self._clock, self._on_found, self._on_asked)
        enrich, stages = (
            Enricher(self._look_ups, self.routes.facts_to_fetch, self.kind),
            Stages(self.routes, access, self.kind),
        )
        self._backpressure = Backpressure(lambda: self.receiver.in_hand, time.monotonic, reads=not store.shared)
        self._pipeline = Pipeline(
            store, enrich, self._look_ups.answered, stages, self._clock, self._on_message, self._backpressure.enough
        )
        self._scheduler = Scheduler(store, self.routes, Digests(access), access, self._clock, self._on_message)
        self._poller = Poller(
            settings.poll_seconds,
            store,
            self._known_server,
            self.routes.all,
            access,
            self._clock,
            self._on_found,
            chance,
        )
        self._network = network
        self._deliver = NotificationSender(store, network, renderer, access, self._clock, owner, self._refused, mask)
        self._deciding = make_worker("alert pipeline", self._decide)
        self._polling = make_worker("poller", self._poller.step)
        self._sending = make_worker("alert delivery", self._send)
        self._asking = make_worker("alert look-ups", self._look_ups.step)
        self._workers = [self._polling, self._deciding, self._asking, self._sending]
        self._fallback: FallbackSender | None = None
        if settings.fallback and plain is not None and find_spec("apprise"):
            self._fallback = FallbackSender(
                settings.fallback, store, plain, access, self._clock, self._on_message, away_since, mask
            )
            self._workers.append(make_worker("fallback", self._fallback.step))
        teams = TeamMemberships(store, self._known_server, self.routes.changed)
        self._workers.append(make_worker("team memberships", teams.step))
        if store.shared:
            self._workers.append(make_worker("alert heartbeat", self._deliver.keep_alive))
        self._scheduled = 0.0
        self._resumed = False
        self._running = False
        self._switch = Lock()

    def kind(self) -> str:
        """The kind of the server; "" until it has answered."""
        return "" if self._server is None else self._server.kind

    def _refused(self, action: str) -> str:
        return "" if self._server is None else self._server.refusal(action)

    def _known_server(self) -> Server:
        """The server; its kind is known after this."""
        self._server = self._find_server()
        return self._server

    def _look_up(self, alert: Alert, server: Server, read_issue: ReadIssue) -> Iterable[Alert]:
        return look_up(alert, server, read_issue, self.routes.facts_to_fetch)

    def start(self) -> None:
        """Take webhooks, and go on with what is on disk. Returns at once, because the threads open the state."""
        with self._switch:
            if self._running:
                return
            self._running, self._resumed = True, False
            self._store.end_within(None)
            for worker in self._workers:
                worker.start()
            self.receiver.open()

    def wake(self) -> None:
        """Wake all threads: the chat network is back, or routes have changed."""
        for worker in self._workers:
            worker.wake()

    def polls(self, slug: str) -> bool:
        """Whether the issues of this project are polled."""
        return self._poller.reads(slug, self.kind())

    def issue_of(self, conversation: Conversation) -> str | None:
        """The id of the issue whose alert began this thread; None in any other thread and outside of threads."""
        if not conversation.room or not conversation.thread:
            return None
        try:
            with self._store.read() as tx:
                return tx.outbox.issue_of_thread(self.routes.spelled(conversation.room), conversation.thread) or None
        except StoreError as error:
            log.warning("what a thread is about could not be read: %s", error)
            return None

    def note_change(self, issue: Issue, conversation: Conversation) -> None:
        """Note that a person closed an issue from this room, so that the room gets no update about it.

        The reply to the command says the same. The notification is marked if the network can edit. If it has threads,
        the update is still sent: it goes into the thread, and marks the notification.
        """
        if not conversation.room or issue.status == UNRESOLVED or self._network.has_threads:
            return
        room = self.routes.spelled(conversation.room)
        try:
            with self._store.write() as tx:
                tx.alone(LOCK_DECIDE)
                group = tx.groups.of_issue(issue.id).get(room)
                root = tx.outbox.get(group.thread_root) if group is not None else None
                if group is not None and root is not None:
                    tx.groups.put([replace(group, status=issue.status)])
            if root is not None and root.sent_id:
                self._deliver.mark(room, root.sent_id, issue.status)
                self._sending.wake()  # for an edit that was refused
        except StoreError as error:
            log.warning("a change could not be noted, its room gets it twice: %s", error)

    def action_on(self, conversation: Conversation, options: Options) -> IssueAction | None:
        """The action of a click on an alert; None if the message is not an alert.

        The conversation's thread is the id of the message. The action needs the rights of the person who clicked.
        """
        issue = self.issue_of(conversation)
        if issue is None:
            return None
        try:
            return IssueAction(issue, options)
        except BadReference:
            log.info("a click on an alert that is about no issue of the server")
            return None

    def is_sending_to(self, conversation: Conversation) -> bool:
        """Whether a message to this room is being sent, so that `action_on` does not know its id yet."""
        try:
            with self._store.read() as tx:
                return tx.outbox.is_sending(self.routes.spelled(conversation.room))
        except StoreError:
            return False

    def mark(self, conversation: Conversation, mark: str) -> None:
        """Edit an alert to show what became of its issue; the conversation's thread is the id of the message."""
        try:
            self._deliver.mark(self.routes.spelled(conversation.room), conversation.thread, mark)
            self._sending.wake()  # for an edit that was refused
        except StoreError as error:
            log.warning("an alert could not be marked: %s", error)

    def warn(self, sentence: str) -> None:
        """Send a sentence about the bot itself to the fallback, if there is one; returns at once."""
        if self._fallback is not None:
            self._fallback.warn(sentence)
            self.wake()

    def leave_chat(self) -> None:
        """Note that the bot ends, and leaves the chat network in order: what that took last is not sent again."""
        self._deliver.leave_chat()

    def close(self, timeout: float = 5.0) -> bool:
        """Stop all threads; what is stored stays. Returns whether all ended in time."""
        with self._switch:
            if not self._running:
                return True
            self._running = False
            self.receiver.close()
            deadline = time.monotonic() + timeout
            self._store.end_within(
                min(_LAST_SECONDS, timeout / 3)
            )  # a hanging database must not keep the bot from ending
            for worker in self._workers:
                worker.stop()
            if self._fallback is not None:
                self._fallback.close()
            ended = [worker.join(deadline) for worker in self._workers]
            try:
                self._deliver.close()
            except StoreError:
                log.exception("what was sent last could not be marked and may be sent again")
            return all(ended)

    def status(self) -> AlertsStatus:
        """The state of the flow; reads the database, tries to write if that failed before, and makes no request."""
        try:
            with self._store.read(urgent=True) as tx:
                waiting, oldest_alert = tx.inbox.waiting_count()
                queue = tx.outbox.state(self._now() - LATELY)
                deferred = sum(tx.deferred.counts().values())
                counts = tx.inbox.counts()
                decided = {name.value: counts[name.value] for name in DecisionName if name.value in counts}
                asked = self._asked(tx)
            trouble = self._store.write_trouble()
        except StoreError as error:
            trouble = str(error)
        if trouble:
            return AlertsStatus(self._running, False, trouble, poll_error=self._poller.error)
        times = [moment for moment in (oldest_alert, queue.oldest) if moment is not None]
        return AlertsStatus(
            running=self._running,
            database_ok=True,
            webhook_last=_moment(self.receiver.last),
            webhook_refused=self.receiver.refused,
            poll_lag=None if asked is None else max(0.0, self._now() - asked),
            poll_error=self._poller.error,
            waiting=waiting,
            queue=queue.depth,
            oldest=_moment(min(times, default=None)),
            failed=queue.failed,
            failed_lately=queue.failed_lately,
            deferred=deferred,
            decided=decided,
            damaged=self._store.corrupt_rows.tables(),
            without=dict(self._pipeline.without),
            edits_given_up=self._deliver.edits_given_up,
            fallback=self._fallback.status() if self._fallback is not None else None,
        )

    def _asked(self, tx: Transaction) -> float | None:
        """When the server last answered a poll, of this bot or of another one on the same state."""
        own = self._poller.asked
        if own is None or not self._store.shared:
            return own
        return max([own, *(mark.answered_at for mark in tx.polls.all())])

    def _decide(self) -> float | None:
        rest = self._backpressure.rest()
        if rest:
            return rest
        self._backpressure.begin()
        waits = [self._pipeline.step()]
        if waits[0] != 0 or self._clock.monotonic() - self._scheduled >= _MOST_LATE:
            self._scheduled = self._clock.monotonic()
            waits.append(self._scheduler.step())
        self._backpressure.end()
        if self._store.shared:
            waits.append(_SHARED_PAUSE)
        return min((wait for wait in waits if wait is not None), default=None)

    def _send(self) -> float | None:
        if not self._resumed:
            self._deliver.resume()
            self._resumed = True
        return self._deliver.step()

    def _on_stored(self, more: int) -> None:
        if not self._backpressure.resting:  # it looks again by itself; waking it would delay the next answer
            self._deciding.wake()
        if more:
            self._poller.hurry()
            self._polling.wake()

    def _on_message(self) -> None:
        self._sending.wake()

    def _on_asked(self) -> None:
        self._asking.wake()

    def _on_found(self) -> None:
        self._deciding.wake()

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _moment(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, timezone.utc)
