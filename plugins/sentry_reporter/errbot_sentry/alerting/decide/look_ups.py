"""Look-ups of alerts on the server, made beside the decisions: bounded in number and in time.

Each alert has a budget; who decides takes the answer when it is there, and goes without it when the budget is spent. A
server that fails, or takes longer than any budget, is left alone for a while.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

from errbot_sentry.domain.alerts import Alert
from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.errors import SentryReporterError
from errbot_sentry.domain.issues import Issue
from errbot_sentry.domain.locks import Lock
from errbot_sentry.server.protocol import BUGSINK, FindServer, Server

log = logging.getLogger(__name__)

BUDGET = 5.0  # seconds for one alert, from the first look at it
REST = 30.0  # seconds in which a server that failed is not asked again
MOST = 100  # alerts that wait for an answer
_TOGETHER = 20  # issues in one request

# Why an alert was decided without the server's answer; shown by `!sentry alerts` and counted by name.
SLOW, BUSY, FAILED = "slow", "busy", "failed"
SENTENCES = {
    SLOW: "not looked up: the server took too long",
    BUSY: "not looked up: too many alerts waited for the server",
    FAILED: "not looked up: the server could not say",
}


@dataclass(frozen=True)
class LookUpAnswer:
    """The alert as the server completed it, or as it was with the name of the failure."""

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
"""Gives the alert after each answer of the server, so that a failure leaves what came before it."""


class LookUps:
    """What is asked and what was answered, by the number of the alert. Safe to use from any thread."""

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
        self._issues: dict[str, Issue | None] = {}  # read with another one, for the alerts that wait; of `step` alone
        self._guard = Lock()

    def start(self, alert_id: int, alert: Alert, now: float) -> str:
        """Ask about this alert; "" or why that is not done."""
        with self._guard:
            if self._clock.monotonic() < self._rests_until:
                return FAILED
            if len(self._questions) >= MOST:
                return BUSY
            self._questions[alert_id] = _Question(alert, now + BUDGET)
        self._on_asked()
        return ""

    def asked_until(self, alert_id: int) -> float | None:
        """When the budget of an alert that was asked about ends; None for one that was not."""
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
        """The budget of this alert is spent: nobody waits for the answer any more; why, by name."""
        self.forget(alert_id)
        return SLOW

    def forget(self, alert_id: int) -> None:
        """The answer is not needed, or was used."""
        with self._guard:
            self._questions.pop(alert_id, None)

    def step(self) -> float | None:
        """Ask the server about one alert; 0 where there may be more, None where there is none."""
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
        """The issue; those of the alerts behind it come in the same request, where the server has such a one."""
        if issue_id not in self._issues and len(ids) > 1 and server.kind != BUGSINK:
            self._issues = {**dict.fromkeys(ids), **{issue.id: issue for issue in server.issues_by_id(ids)}}
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
            # An answer that we stumble over is this alert's trouble alone.
            log.exception("an alert could not be completed")
            self._rest()
        return LookUpAnswer(alert, FAILED)

    def _rest(self) -> None:
        self._rests_until = self._clock.monotonic() + REST
