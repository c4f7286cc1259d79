"""Runs the rounds of the canary: sends its event, checks where it has arrived, and reports what is broken.

The arrivals are read from the state. So if several bots share the state, any of them may take the webhook, poll or
decide.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from cachetools import TTLCache

from errbot_sentry.alerting.canary_links import (
    DECISION,
    POLLER,
    SENT,
    SHOWN,
    WAYS,
    WEBHOOK,
    CanaryRound,
    Link,
    LinkState,
    Progress,
    again_sentence,
    broken_sentence,
    is_over,
    judge,
    limits,
)
from errbot_sentry.alerting.service import AlertService
from errbot_sentry.alerting.worker import Worker
from errbot_sentry.domain.alerts import SEEN_RESOLVED
from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.conversation import Person
from errbot_sentry.domain.errors import NotFound, SentryReporterError, StoreError, UserError
from errbot_sentry.domain.issues import Issue
from errbot_sentry.domain.locks import Lock
from errbot_sentry.reporting.reporter import Reporter
from errbot_sentry.server.protocol import FindServer
from errbot_sentry.store.database import Store

_CLAIM = "canary"  # in the table of polls: which bot sends the next one
_GRACE = 60.0  # seconds after which another bot on the same state sends an event that is due
_FIRST = 60.0  # seconds after the start: poller and listener run by then
_PERSONS_PAUSE = 60.0
_MOST_PEOPLE = 500
_SOONEST, _LATEST = 1.2, 15.0  # seconds between two looks; Sentry allows one look-up of an event a second
# An event within five seconds of the resolution does not reopen the issue: Sentry's `_handle_regression`
# (src/sentry/event_manager.py).
_TOO_SOON = 10.0
_STEPPED = 5.0  # seconds by which the clock and the monotonic clock may differ


@dataclass(frozen=True)
class CanaryStatus:
    """The links of the last finished round, when each last worked, and why a link cannot be judged."""

    links: tuple[Link, ...] = ()
    last: tuple[tuple[str, datetime], ...] = ()
    note: str = ""


class Canary:
    """Sends the event every `seconds` (0: only by hand) and follows it.

    Args:
        alerts: the alert flow; None if it is switched off, and then the way ends at the server.
        has_webhooks: whether the settings let webhooks in.
        warn: called with a sentence for the bot's admins.
    """

    def __init__(
        self,
        seconds: float,
        reporter: Reporter,
        alerts: AlertService | None,
        store: Store,
        find_server: FindServer,
        clock: Clock,
        warn: Callable[[str], None],
        *,
        has_webhooks: bool,
        poll_seconds: float,
        make_worker: Callable[[str, Callable[[], float | None]], Worker] = Worker,
    ) -> None:
        self._seconds = seconds
        self._reporter = reporter
        self._alerts = alerts
        self._store = store
        self._find_server = find_server
        self._clock = clock
        self._warn = warn
        self._has_webhooks = has_webhooks
        self._limits = limits(poll_seconds)
        self._lock = Lock()
        self._round: CanaryRound | None = None
        # A round that was due is not replaced by hand, or frequent tests would hide what is broken.
        self._is_scheduled = False
        self._links: tuple[Link, ...] = ()
        self._status = CanaryStatus()
        self._last: dict[str, datetime] = {}
        self._named: set[str] = set()  # the broken links that the admins know of
        self._followed = ""  # the event of the latest round
        self._issue: Issue | None = None
        self._resolved: float | None = None
        self._next = clock.monotonic() + min(_FIRST, seconds)
        self._tests: TTLCache[str, float] = TTLCache(_MOST_PEOPLE, _PERSONS_PAUSE, timer=clock.monotonic)
        self._worker = make_worker("canary", self.step)

    def start(self) -> None:
        """Start the thread; a round that was under way when the bot ended is dropped."""
        self._worker.start()

    def close(self, timeout: float) -> None:
        """End the thread within the timeout (seconds)."""
        self._worker.stop()
        self._worker.join(time.monotonic() + timeout)

    def begin(self, person: Person) -> str:
        """Begin a round by hand; returns its event's id. It replaces one begun by hand, and joins one that was due.

        Raises:
            UserError: this person began one a moment ago, or the event was not taken.
        """
        with self._lock:
            begun = self._tests.get(person.acl)
            if begun is not None:
                left = max(1, round(begun + _PERSONS_PAUSE - self._clock.monotonic()))
                raise UserError(f"You ran a test less than a minute ago. Try again in {left} s.")
            self._tests[person.acl] = self._clock.monotonic()
            joined = self._round if self._is_scheduled else None
        started = joined or self._begin()
        if not started.event_id:
            raise UserError("The test event wasn't captured. `!sentry status` says why.")
        self._worker.wake()
        return started.event_id

    def progress(self, event_id: str) -> Progress:
        """How far the round of this event has come, also if it is over; empty if it is not the latest round."""
        with self._lock:
            links = self._links if self._followed == event_id else ()
        is_shown = any(link.name == SHOWN and link.state is LinkState.OK for link in links)
        return Progress(links, self._issue if is_shown else None)

    def status(self) -> CanaryStatus:
        """The result of the last finished round."""
        return self._status

    def step(self) -> float | None:
        """Begin a round if one is due, and check where the event has arrived; returns the seconds to wait."""
        current = self._round
        if self._is_due():
            self._next = self._clock.monotonic() + self._seconds
            self._is_scheduled = True
            current = current or self._begin()
        if current is None:
            return max(0.0, self._next - self._clock.monotonic()) if self._seconds else None
        if self._is_clock_stepped(current):
            current = self._begin()  # the durations are not known any more
        seen = self._look(current)
        links = judge(seen, self._clock.now(), self._limits)
        over = is_over(links)
        with self._lock:
            if self._round is not current:  # one was begun by hand meanwhile
                return 0.0
            self._round, self._links = None if over else seen, links
            self._is_scheduled = self._is_scheduled and not over
        self._last.update(seen.reached)
        if over:
            self._end(seen, links)
            return 0.0
        since = (self._clock.now() - seen.started).total_seconds()
        return min(_LATEST, max(_SOONEST, since / 5))

    def _begin(self) -> CanaryRound:
        now, at = self._clock.now(), self._clock.monotonic()
        event_id = self._reporter.capture_canary() or ""
        with self._lock:
            # Only an issue that was resolved comes back, which is what servers send a webhook about.
            due = self._resolved is not None and at - self._resolved > _TOO_SOON
            self._resolved = None
            expected = (SENT, SHOWN, WEBHOOK) if due and self._has_webhooks else (SENT, SHOWN)
            self._round = begun = CanaryRound(now, event_id, expected, begun=at)
            self._followed = event_id
            self._links = judge(begun, now, self._limits)
            return begun

    def _is_due(self) -> bool:
        """Whether the next round is due; one begun by hand that is under way counts as it."""
        is_under_way = self._is_scheduled and self._round is not None
        is_time = bool(self._seconds) and not is_under_way and self._next <= self._clock.monotonic()
        return is_time and self._claim()

    def _is_clock_stepped(self, current: CanaryRound) -> bool:
        """Whether the clock was set since the round's start, or the machine slept."""
        passed = self._clock.monotonic() - current.begun
        return abs((self._clock.now() - current.started).total_seconds() - passed) > _STEPPED

    def _claim(self) -> bool:
        """Whether this bot sends the next event. If another bot on the same state does, we check again after that."""
        if not self._store.shared:
            return True
        now = self._clock.now().timestamp()
        try:
            with self._store.write() as tx:
                if tx.polls.claim(_CLAIM, now, now + self._seconds):
                    return True
                mark = tx.polls.get(_CLAIM)
        except StoreError:
            return True  # perhaps two bots send an event, but the broken state is reported
        due = now + self._seconds if mark is None else mark.next_at
        self._next = self._clock.monotonic() + max(_GRACE, due - now + _GRACE)
        return False

    def _look(self, current: CanaryRound) -> CanaryRound:
        now, reached, trouble, expected = self._clock.now(), dict(current.reached), {}, current.expected
        if SENT not in reached:
            why = self._reporter.unsent_reason(current.event_id) if current.event_id else "it was not captured"
            if why is None:
                reached[SENT] = now
            else:
                trouble[SENT] = why
        if SENT in reached and SHOWN not in reached:
            try:
                issue = self._find_server().issue_of_event(current.event_id)
            except NotFound:
                issue = None
            except SentryReporterError as error:
                issue, trouble[SHOWN] = None, str(error)
            if issue is not None:
                self._issue, reached[SHOWN] = issue, now
                expected = self._expected(current, issue)
        try:
            reached.update(self._arrivals(current))
        except StoreError as error:
            trouble.update(dict.fromkeys((*WAYS, DECISION), str(error)))
        return replace(current, reached=reached, trouble=trouble, expected=tuple(dict.fromkeys((*expected, *reached))))

    def _expected(self, current: CanaryRound, issue: Issue) -> tuple[str, ...]:
        """The links of a round whose issue is known now. A new issue has a webhook, too."""
        expected = list(current.expected)
        if self._has_webhooks and issue.events == 1:
            expected.append(WEBHOOK)
        if self._alerts is not None and self._alerts.polls(issue.project.slug):
            expected.append(POLLER)
        return (*expected, DECISION) if set(WAYS) & set(expected) else tuple(expected)

    def _arrivals(self, current: CanaryRound) -> dict[str, datetime]:
        """The arrivals in the state: when webhook and poller brought the issue, and when it was first decided."""
        found: dict[str, datetime] = {}
        if self._issue is None or self._alerts is None:
            return found
        with self._store.read() as tx:
            arrived = tx.inbox.of_issue(self._issue.id, current.started.timestamp())
        for alert, received, decided in arrived:
            if alert.reason == SEEN_RESOLVED:  # our own resolution
                continue
            moments = {WEBHOOK if alert.source == "webhook" else POLLER: received, DECISION: decided}
            for name, moment in moments.items():
                if moment is not None:
                    at = datetime.fromtimestamp(moment, current.started.tzinfo)
                    found[name] = min(at, found.get(name, at))
        return found

    def _end(self, ended: CanaryRound, links: Sequence[Link]) -> None:
        note = self._resolve() if SHOWN in ended.reached else ""
        self._status = CanaryStatus(tuple(links), tuple(self._last.items()), note)
        if not self._seconds:
            return  # the person who began it reads its result
        broken = {link.name for link in links if link.state is LinkState.BROKEN}
        again = [link.name for link in links if link.state is LinkState.OK and link.name in self._named]
        if again:
            self._warn(again_sentence(again))
        if broken - self._named:
            self._warn(broken_sentence(links, {name: self._last.get(name, ended.started) for name in broken}))
        self._named = (self._named | broken) - set(again)

    def _resolve(self) -> str:
        """Resolve the issue, so that the next event reopens it; returns what is lost if that fails."""
        try:
            if self._issue is not None:
                self._find_server().resolve(self._issue)
        except SentryReporterError as error:
            return f"its issue could not be resolved, so webhooks are not checked: {error}"
        self._resolved = self._clock.monotonic()
        return ""
