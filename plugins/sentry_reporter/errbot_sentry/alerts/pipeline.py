"""From a stored alert to messages in the outbox.

Identify runs first and outside of any transaction, since it may ask the server. Then one short transaction per handful
of alerts goes through the stages (`stages.py`): what became of the alert is written with everything else or not at
all. Only one bot decides at a time, so that two can share a state.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from errbot_sentry.alerts.case import Case
from errbot_sentry.alerts.group import issue_key
from errbot_sentry.alerts.identify import UNIDENTIFIED, Identified, Identify
from errbot_sentry.alerts.stages import Stages
from errbot_sentry.clock import Clock
from errbot_sentry.errors import StoreError
from errbot_sentry.store.rows import LOCK_DECIDE, WaitingAlert
from errbot_sentry.store.store import Store

if TYPE_CHECKING:
    from errbot_sentry.store.work import Work

log = logging.getLogger(__name__)

BATCH = 20
BROKEN = "broken"


class Pipeline:
    """Decides what waits in the inbox."""

    def __init__(
        self,
        store: Store,
        identify: Identify,
        stages: Stages,
        clock: Clock,
        on_message: Callable[[], None],
        enough: Callable[[], bool] = lambda: False,
    ) -> None:
        """`on_message` is called after messages were put into the outbox; `enough` is asked after each decision.

        When it is true, the transaction ends there and the rest is left to the next step.
        """
        self._store = store
        self._identify = identify
        self._stages = stages
        self._clock = clock
        self._on_message = on_message
        self._enough = enough
        self.decided: Counter[str] = Counter()

    def step(self) -> float | None:
        """Decide a handful; the seconds until there is more to do, None where nothing waits."""
        now = self._now()
        with self._store.read() as work:
            rows, damaged = work.inbox.waiting(now, BATCH)
            known = work.issues.get_many(sorted({issue_key(row.alert) for row in rows}))
            due = work.inbox.next_due()
        if damaged:
            self._set_aside(damaged)
            return 0.0
        if not rows:
            return None if due is None else max(0.0, due - now)
        understood = [(row, self._identify(row, known.get(issue_key(row.alert)), now)) for row in rows]
        if self._decide_all(understood):
            self._on_message()
        return 0.0

    def _set_aside(self, damaged: Sequence[int]) -> None:
        """What cannot be read is decided by nobody; the rest goes on."""
        with self._store.write() as work:
            work.alone(LOCK_DECIDE)
            work.inbox.set_aside(damaged, BROKEN, self._now())
        self.decided[BROKEN] += len(damaged)

    def _decide_all(self, understood: Sequence[tuple[WaitingAlert, Identified]]) -> bool:
        now = self._now()
        cases = []
        with self._store.write() as work:
            work.alone(LOCK_DECIDE)
            still = work.inbox.still_waiting([row.id for row, _ in understood])
            for row, identified in understood:
                if row.id not in still:
                    continue
                if identified.wait is not None:
                    work.inbox.put_off(row.id, now + identified.wait)
                else:
                    cases.append(self._decide(row, identified, now, work))
                if self._enough():
                    break
        for case in cases:
            self.decided.update(decision.name for decision in case.decisions)
        return any(outcome.speaks for case in cases for outcome in case.outcomes)

    def _decide(self, row: WaitingAlert, identified: Identified, now: float, work: Work) -> Case:
        case = Case(row, identified.alert, now)
        if identified.lost:
            case.decide("", UNIDENTIFIED)
        else:
            self._run(case, work)
        work.inbox.decide(row.id, case.alert, case.decisions, now)
        return case

    def _run(self, case: Case, work: Work) -> None:
        try:
            for stage in self._stages.in_order:
                stage(case, work)
        except StoreError:
            raise
        except Exception:
            # One alert that we cannot handle must not hold up the others for ever.
            log.exception("alert %s could not be decided", case.row.id)
            case.decide("", BROKEN)

    def _now(self) -> float:
        return self._clock.now().timestamp()
