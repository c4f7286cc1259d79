"""Asks the server about alerts, in a thread beside the decisions, with bounds on number and time.

Each alert may wait for an answer for `BUDGET` seconds. Then it is decided without the answer. A server that fails, or
needs more than that time, is not asked for a while.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from errbot_sentry.domain.alerts import Alert
from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.errors import BadAnswer, SentryReporterError
from errbot_sentry.domain.issues import Issue
from errbot_sentry.domain.locks import Lock
from errbot_sentry.server.protocol import BUGSINK, FindServer, Server

log = logging.getLogger(__name__)

BUDGET = 5.0  # seconds for one alert, from the first look at it
REST = 30.0  # seconds for which a server that failed is not asked
MOST = 100  # alerts that wait for an answer
_TOGETHER = 20  # issues in one request

# Why an alert was decided without the server's answer; shown by `!sentry alerts` and counted in the metrics.
SLOW, BUSY, FAILED = "slow", "busy", "failed"
SENTENCES = {
    SLOW: "not looked up: the server took too long",
    BUSY: "not looked up: too many alerts waited for the server",
    FAILED: "not looked up: the server could not say",
}


@dataclass(frozen=True)
class LookUpAnswer:
    """The alert, completed as far as possible; `failure` is "" or the name of what failed."""

    alert: Alert
    failure: str = ""


@dataclass
class _Question:
    alert: Alert
    until: float
    answer: LookUpAnswer | None = None


ReadIssue = Callable[[str], Issue]
"""Reads an issue by its id; raises what the server raises."""

LookUp = Callable[[Alert, Server, ReadIssue], Iterable[Alert]]
"""Yields the alert after each answer of the server, so that earlier answers are kept if a later one fails."""


class LookUps:
    """The questions and answers, by the number of the alert. Safe to use from any thread."""

    def __init__(
        self,
        find_server: FindServer,
        look_up: LookUp,
        clock: Clock,
        on_answer: Callable[[], None],
        on_asked: Callable[[], None],
    ) -> None:
        """`on_answer` is called when an answer can be taken, `on_asked` when `step` has something to do."""
        self._find_server = find_server
        self._look_up = look_up
        self._clock = clock
        self._on_answer = on_answer
        self._on_asked = on_asked
        self._questions: OrderedDict[int, _Question] = OrderedDict()
        self._rests_until = 0.0
        self._issues: dict[
            str, Issue | None
        ] = {}  # issues of waiting alerts, read together with another one; used by `step` alone
        self._guard = Lock()

    def start(self, alert_id: int, alert: Alert, now: float) -> str:
        """Ask about this alert; returns "", or why it is not asked."""
        with self._guard:
            if self._clock.monotonic() < self._rests_until:
                return FAILED
            if len(self._questions) >= MOST:
                return BUSY
            self._questions[alert_id] = _Question(alert, now + BUDGET)
        self._on_asked()
        return ""

    def asked_until(self, alert_id: int) -> float | None:
        """When the budget of an alert ends; None if it was not asked about."""
        with self._guard:
            question = self._questions.get(alert_id)
            return None if question is None else question.until

    def answered(self, limit: int) -> list[int]:
        """The numbers of alerts whose answers can be taken, in the order in which they were asked."""
        with self._guard:
            return [number for number, question in self._questions.items() if question.answer is not None][:limit]

    def take(self, alert_id: int) -> LookUpAnswer | None:
        """The answer about this alert; None while there is none."""
        with self._guard:
            question = self._questions.get(alert_id)
            return None if question is None else question.answer

    def late(self, alert_id: int) -> str:
        """Drop the question about an alert whose budget is spent; returns the name of that failure."""
        self.forget(alert_id)
        return SLOW

    def forget(self, alert_id: int) -> None:
        """Drop the question about an alert: the answer was used, or is not needed."""
        with self._guard:
            self._questions.pop(alert_id, None)

    def step(self) -> float | None:
        """Ask the server about one alert; returns 0 if there may be more, None if there was none."""
        with self._guard:
            open_ = ((number, question) for number, question in self._questions.items() if question.answer is None)
            waiting = list(islice(open_, _TOGETHER))
        if not waiting:
            self._issues = {}
            return None
        number, question = waiting[0]
        ids = tuple(dict.fromkeys(each.alert.issue_id for _, each in waiting if each.alert.issue_id))
        begun = self._clock.monotonic()
        rests = begun < self._rests_until
        answer = LookUpAnswer(question.alert, FAILED) if rests else self._answer(question.alert, ids)
        if self._clock.monotonic() - begun >= BUDGET:
            self._rest()
        with self._guard:
            if self._questions.get(number) is question:
                question.answer = answer
        self._on_answer()
        return 0.0

    def _read_issue(self, issue_id: str, ids: tuple[str, ...], server: Server) -> Issue:
        """The issue; one request also reads the issues of the alerts behind it, if the server can do that."""
        if issue_id not in self._issues and len(ids) > 1 and server.kind != BUGSINK:
            self._issues = dict.fromkeys(ids)
            with suppress(BadAnswer):  # about one of them, which is asked for again when it is its turn
                self._issues |= {issue.id: issue for issue in server.issues_by_id(ids)}
        found = self._issues.pop(issue_id, None)
        return server.issue(issue_id) if found is None else found

    def _answer(self, alert: Alert, ids: tuple[str, ...]) -> LookUpAnswer:
        try:
            server = self._find_server()
            for completed in self._look_up(alert, server, lambda issue_id: self._read_issue(issue_id, ids, server)):
                alert = completed
            return LookUpAnswer(alert)
        except SentryReporterError as error:
            log.info("the server could not complete an alert: %s", error)
            if getattr(error, "retry", True):
                self._rest()
        except Exception:
            # An answer that raises an error here must not affect other alerts.
            log.exception("an alert could not be completed")
            self._rest()
        return LookUpAnswer(alert, FAILED)

    def _rest(self) -> None:
        self._rests_until = self._clock.monotonic() + REST
