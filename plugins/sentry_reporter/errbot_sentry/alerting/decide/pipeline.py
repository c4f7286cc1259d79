"""From a stored alert to messages in the outbox.

What the server has to be asked for is asked beside (`look_ups.py`): an alert that needs an answer is parked, and those
about the same problem behind it, while all others are decided. One short transaction per handful
of alerts goes through the stages (`stages.py`): what became of the alert is written with everything else or not at
all. Only one bot decides at a time, so that two can share a state.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from errbot_sentry.alerting.decide.alert_context import AlertContext
from errbot_sentry.alerting.decide.decisions import DecisionName
from errbot_sentry.alerting.decide.enrich import Enriched, Enricher
from errbot_sentry.alerting.decide.look_ups import SENTENCES
from errbot_sentry.alerting.decide.stages import Stages
from errbot_sentry.domain.alerts import is_canary
from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.errors import StoreError
from errbot_sentry.store.database import Store
from errbot_sentry.store.records import LOCK_DECIDE, KnownIssue, WaitingAlert, issue_key, order_key

if TYPE_CHECKING:
    from errbot_sentry.store.transaction import Transaction

log = logging.getLogger(__name__)

BATCH = 20


class Pipeline:
    """Decides what waits in the inbox."""

    def __init__(
        self,
        store: Store,
        enrich: Enricher,
        answered: Callable[[int], list[int]],
        stages: Stages,
        clock: Clock,
        on_message: Callable[[], None],
        enough: Callable[[], bool] = lambda: False,
    ) -> None:
        """`answered` gives the numbers of parked alerts whose look-up is done.

        `on_message` is called after messages were put into the outbox; `enough` is asked after each decision. When it
        is true, the transaction ends there and the rest is left to the next step.
        """
        self._store = store
        self._enrich = enrich
        self._answered = answered
        self._stages = stages
        self._clock = clock
        self._on_message = on_message
        self._enough = enough
        self.without: Counter[str] = Counter()

    def step(self) -> float | None:
        """Decide a handful; the seconds until there is more to do, None where nothing waits."""
        now = self._now()
        answered = self._answered(BATCH)
        with self._store.read() as tx:
            rows, damaged = tx.inbox.waiting(now, BATCH + len(answered), answered)
            known = tx.issues.get_many(sorted({issue_key(row.alert) for row in rows}))
            due = tx.inbox.next_due()
        if damaged:
            self._set_aside(damaged)
            return 0.0
        if not rows:
            return None if due is None else max(0.0, due - now)
        for gone in {*answered} - {row.id for row in rows}:  # another bot has decided it
            self._enrich.settled(gone)
        rows.sort(key=lambda row: row.id)
        if self._decide_all(rows, known):
            self._on_message()
        return 0.0

    def _set_aside(self, damaged: Sequence[int]) -> None:
        """What cannot be read is decided by nobody; the rest goes on."""
        with self._store.write() as tx:
            tx.alone(LOCK_DECIDE)
            tx.inbox.set_aside(damaged, DecisionName.FAILED.value, self._now())

    def _decide_all(self, rows: Sequence[WaitingAlert], known: Mapping[str, KnownIssue]) -> bool:
        now = self._now()
        contexts = []
        with self._store.write() as tx:
            tx.alone(LOCK_DECIDE)
            still = tx.inbox.still_waiting([row.id for row in rows])
            parked = tx.inbox.parked(sorted({order_key(row.alert) for row in rows}), now)
            for row in rows:
                if row.id in still:
                    context = self._step_one(row, known, parked, now, tx)
                    contexts += [context] if context is not None else []
                if self._enough():
                    break
        for context in contexts:
            self._enrich.settled(context.row.id)
        return any(outcome.is_sent for context in contexts for outcome in context.outcomes)

    def _step_one(
        self,
        row: WaitingAlert,
        known: Mapping[str, KnownIssue],
        parked: list[tuple[int, str, float]],
        now: float,
        tx: Transaction,
    ) -> AlertContext | None:
        """Decide it, or put it where it waits; None for the latter. `parked` is kept up to date."""
        if is_canary(row.alert.title, row.alert.level):
            canary = AlertContext(row, row.alert, now)
            canary.decide("", DecisionName.CANARY)
            tx.inbox.decide(row.id, row.alert, canary.decisions, now)
            return canary
        key = order_key(row.alert)
        before = [until for number, about, until in parked if about == key and number < row.id]
        if before and not self._enrich.has_asked(row.id):  # what came first is decided first
            tx.inbox.park(row.id, max(before))
            parked.append((row.id, key, max(before)))
            return None
        enriched = self._enrich(row, known.get(issue_key(row.alert)), now)
        if enriched.park is not None:
            tx.inbox.park(row.id, enriched.park)
            parked.append((row.id, key, enriched.park))
            return None
        if any(number == row.id for number, _, _ in parked) or enriched.without:
            tx.inbox.release(key, now)
        parked[:] = [each for each in parked if each[1] != key]
        if enriched.wait is not None:
            self._enrich.settled(row.id)
            tx.inbox.put_off(row.id, now + enriched.wait)
            return None
        return self._decide(row, enriched, now, tx)

    def _decide(self, row: WaitingAlert, enriched: Enriched, now: float, tx: Transaction) -> AlertContext:
        context = AlertContext(row, enriched.alert, now, without=enriched.without)
        if enriched.lost:
            context.decide("", DecisionName.NO_PROJECT)
        else:
            self._run(context, tx)
        if enriched.without:
            self.without[enriched.without] += 1
            why = SENTENCES[enriched.without]
            context.decisions = [
                replace(each, detail=f"{each.detail}; {why}".removeprefix("; ")) for each in context.decisions
            ]
        tx.inbox.decide(row.id, context.alert, context.decisions, now)
        return context

    def _run(self, context: AlertContext, tx: Transaction) -> None:
        try:
            for stage in self._stages.in_order:
                stage(context, tx)
        except StoreError:
            raise
        except Exception:
            # One alert that we cannot handle must not hold up the others for ever.
            log.exception("alert %s could not be decided", context.row.id)
            context.decide("", DecisionName.FAILED)

    def _now(self) -> float:
        return self._clock.now().timestamp()
