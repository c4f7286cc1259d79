"""Decides about the stored alerts, and puts messages into the outbox.

Each batch of alerts goes through the stages (`stages.py`) in one short transaction, which writes all of its results or
none. An alert that needs an answer of the server (`look_ups.py`) is parked, and so are later ones about the same
problem; all others are decided meanwhile.

Bots that share a state decide about different problems at the same time. Each problem belongs to one of a few lanes,
and a bot locks the lanes from which it takes alerts. It takes half of the lanes in which alerts wait, and leaves the
other half to another bot. Only one bot at a time decides what rooms get (`Batch.enter_rooms`).

In a flood, alerts about unknown problems overtake those that will only be counted, but never an alert about the same
problem. Alerts that are only counted are decided many at a time (`batch.py`).
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from errbot_sentry.alerting.decide.alert_context import AlertContext
from errbot_sentry.alerting.decide.batch import Batch, Parking
from errbot_sentry.alerting.decide.decisions import DecisionName
from errbot_sentry.alerting.decide.enrich import Enriched, Enricher
from errbot_sentry.alerting.decide.look_ups import SENTENCES
from errbot_sentry.alerting.decide.stages import Stages
from errbot_sentry.domain.alerts import is_canary
from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.errors import StoreError
from errbot_sentry.store.database import LANES, LOCK_DECIDE, Store
from errbot_sentry.store.records import WaitingAlert, issue_key, order_key

if TYPE_CHECKING:
    from errbot_sentry.store.transaction import Transaction

log = logging.getLogger(__name__)

OTHERS_TURN = 0.05
FEW, MANY = 20, 200  # alerts in one transaction: about problems that are not known, and about those that are


@dataclass(frozen=True)
class _Line:
    """Alerts about known problems, or all others, in these lanes (None: all). `is_only`: the other line is empty."""

    is_known: bool
    lanes: list[int] | None = None
    is_only: bool = False


class Pipeline:
    """Decides about the alerts in the inbox."""

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
        """`answered` returns the numbers of parked alerts whose look-up is done.

        `on_message` is called after messages were put into the outbox. `enough` is called after each decision; if it
        returns True, the transaction ends, and the next step decides about the rest.
        """
        self._store = store
        self._enrich = enrich
        self._answered = answered
        self._stages = stages
        self._clock = clock
        self._on_message = on_message
        self._enough = enough
        self.without: Counter[str] = Counter()
        self._known_next = False
        self._passed = False  # whether this step left alerts to other bots, which had locked them
        self._lane = random.randrange(LANES)  # noqa: S311 - where to begin; not where they do
        self._many = FEW  # as many as a step can do at present: what it leaves is read again

    def step(self) -> float | None:
        """Decide about a batch; returns the seconds until there is more to do, None if no alert waits.

        Alerts about known problems and all others have a step in turn, as long as both wait.
        """
        now = self._now()
        contexts: list[AlertContext] = []
        with self._store.write() if self._store.shared else self._store.read() as tx:
            self._passed = False
            rows, damaged = self._claim(tx, now)
            due = None if rows or damaged else tx.inbox.next_due()
            if self._store.shared and not damaged:
                contexts = self._decide_all(tx, rows, now)
        if rows and not self._store.shared and not damaged:
            with self._store.write() as tx:  # others wait for the lock, which reading did not need
                still = tx.inbox.still_waiting([row.id for row in rows])
                contexts = self._decide_all(tx, [row for row in rows if row.id in still], now)
        if damaged:
            self._set_aside(damaged)
        for context in contexts:
            self._enrich.settled(context.row.id)
        if any(outcome.is_sent for context in contexts for outcome in context.outcomes):
            self._on_message()
        if rows or damaged:
            return 0.0
        if self._passed:
            return OTHERS_TURN
        return None if due is None else max(0.0, due - now)

    def _claim(self, tx: Transaction, now: float) -> tuple[list[WaitingAlert], list[int]]:
        """The alerts to decide next, in order, and the numbers of those that cannot be read."""
        if self._store.shared and not tx.try_beside(LOCK_DECIDE):
            self._passed = True
            return [], []
        answered = self._answered(FEW)
        if answered:
            waiting = tx.inbox.lanes_of(answered)
            for gone in {*answered} - waiting.keys():  # another bot has decided about it
                self._enrich.settled(gone)
            free = self._take(tx, {*waiting.values()}, LANES)
            found = tx.inbox.still_waiting_of([number for number, lane in waiting.items() if lane in free])
            if any(found):
                return found
        for line in self._lines(tx, now):
            many = self._many if line.is_known else FEW
            rows, damaged = tx.inbox.waiting(now, many, is_known=line.is_known, lanes=line.lanes)
            if rows or damaged:
                self._known_next = not line.is_known
                break
        else:
            return [], []
        if not rows or line.is_only:
            return sorted(rows, key=lambda row: row.id), damaged
        # Alerts about the same problem are decided in the order in which they came.
        before, damaged_before = tx.inbox.waiting_before(rows, now, MANY, is_known=not line.is_known)
        if len(before) < MANY:
            before += rows
        return sorted(before, key=lambda row: row.id), damaged + damaged_before

    def _lines(self, tx: Transaction, now: float) -> Iterator[_Line]:
        """Where to look for alerts, in turn; half of the lanes in which some wait."""
        in_turn = (self._known_next, not self._known_next)
        if not self._store.shared:
            yield from (_Line(is_known) for is_known in in_turn)
            return
        passed: set[int] = set()
        while waiting := tx.inbox.lanes(now, 2 * MANY, passed):
            for is_known in in_turn:
                lanes = waiting.get(is_known, [])
                if lanes and (free := self._take(tx, lanes, (len(lanes) + 1) // 2)):
                    yield _Line(is_known, free, is_only=len(waiting) == 1)
            passed.update(*waiting.values())  # more may wait behind those that other bots have

    def _set_aside(self, damaged: Sequence[int]) -> None:
        """Set aside what cannot be read, so that the rest goes on."""
        with self._store.write() as tx:
            tx.alone(LOCK_DECIDE)
            tx.inbox.set_aside(damaged, DecisionName.FAILED.value, self._now())

    def _take(self, tx: Transaction, lanes: Collection[int], most: int) -> list[int]:
        """Lock at most so many of these lanes for this transaction; in turn, so that none waits for long."""
        free = tx.try_lanes(sorted(lanes, key=lambda lane: (lane - self._lane) % LANES), most)
        self._passed = self._passed or not free
        self._lane = (free[-1] + 1) % LANES if free else self._lane
        return free

    def _decide_all(self, tx: Transaction, rows: Sequence[WaitingAlert], now: float) -> list[AlertContext]:
        """Decide about these, or as many as there is time for; returns those decided."""
        if not rows:
            return []
        contexts = []
        batch = Batch(tx, rows)
        parking = Parking(tx, rows, now)
        for row in rows:
            context = self._step_one(row, parking, now, batch)
            contexts += [context] if context is not None else []
            if self._enough():
                break
        self._many = max(FEW, min(MANY, 2 * (rows.index(row) + 1)))
        parking.write()
        batch.write(now)
        return contexts

    def _step_one(self, row: WaitingAlert, parking: Parking, now: float, batch: Batch) -> AlertContext | None:
        """Decide about an alert, or park it; None if it was parked."""
        if is_canary(row.alert.title, row.alert.level):
            canary = AlertContext(row, row.alert, now)
            canary.decide("", DecisionName.CANARY)
            batch.decide(row, row.alert, canary.decisions)
            return canary
        key = order_key(row.alert)
        until = parking.of_earlier(row.id, key)
        if until is not None and not self._enrich.has_asked(row.id):  # in the order in which they came
            parking.park(row.id, key, until)
            return None
        enriched = self._enrich(row, batch.issue(issue_key(row.alert)), now)
        if enriched.park is not None:
            parking.park(row.id, key, enriched.park)
            return None
        if enriched.without or parking.contains(row.id, key):
            parking.release(key)
        else:
            parking.forget(key)
        if enriched.wait is not None:
            self._enrich.settled(row.id)
            batch.tx.inbox.put_off(row.id, now + enriched.wait)
            return None
        return self._decide(row, enriched, now, batch)

    def _decide(self, row: WaitingAlert, enriched: Enriched, now: float, batch: Batch) -> AlertContext:
        context = AlertContext(row, enriched.alert, now, without=enriched.without)
        if enriched.lost:
            context.decide("", DecisionName.NO_PROJECT)
        else:
            self._run(context, batch)
        if enriched.without:
            self.without[enriched.without] += 1
            why = SENTENCES[enriched.without]
            context.decisions = [
                replace(each, detail=f"{each.detail}; {why}".removeprefix("; ")) for each in context.decisions
            ]
        batch.decide(row, context.alert, context.decisions)
        return context

    def _run(self, context: AlertContext, batch: Batch) -> None:
        try:
            for stage in self._stages.in_order:
                stage(context, batch)
        except StoreError:
            raise
        except Exception:
            # One alert that raises an error must not stop the others for ever.
            log.exception("alert %s could not be decided", context.row.id)
            context.decide("", DecisionName.FAILED)

    def _now(self) -> float:
        return self._clock.now().timestamp()
