"""From a stored alert to messages in the outbox, in the visible stages of `Pipeline.stages`.

Identify runs first and outside of any transaction, since it may ask the server. Then one short transaction per handful
of alerts: each stage adds to the case or ends it, and what became of the alert is written with everything else or not
at all. Only one bot decides at a time, so that two can share a state.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from errbot_sentry.access import Access
from errbot_sentry.alerts.group import Placed, issue_key, place, status_after, witness
from errbot_sentry.alerts.identify import UNIDENTIFIED, Identified, Identify
from errbot_sentry.alerts.message import first_word
from errbot_sentry.alerts.route import NOT_VISIBLE, UNROUTED, Target, route_alert
from errbot_sentry.clock import Clock
from errbot_sentry.errors import StoreError
from errbot_sentry.model import NEW, SEEN_EVENT, UNRESOLVED, Alert
from errbot_sentry.routes import Route
from errbot_sentry.store.rows import Decision, Group, KnownIssue, Message, WaitingAlert
from errbot_sentry.store.store import Store

if TYPE_CHECKING:
    from errbot_sentry.store.work import Work

log = logging.getLogger(__name__)

BATCH = 10
LOCK_DECIDE = 73_011_902
BROKEN = "broken"

Routes = Callable[[], Sequence[Route]]


@dataclass
class Case:
    """One alert on its way through the stages."""

    row: WaitingAlert
    alert: Alert
    now: float
    known: KnownIssue | None = None
    groups: dict[str, Group] = field(default_factory=dict)
    targets: list[Target] = field(default_factory=list)
    placed: list[tuple[Target, Placed]] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    over: bool = False

    def decide(self, room: str, name: str, detail: str = "") -> None:
        """Note what becomes of the alert in a room, or in none."""
        self.decisions.append(Decision(self.row.id, room, name, detail))


Stage = Callable[[Case, "Work"], None]


class Pipeline:
    """Decides what waits in the inbox."""

    def __init__(
        self,
        store: Store,
        identify: Identify,
        routes: Routes,
        access: Access,
        clock: Clock,
        on_message: Callable[[], None],
    ) -> None:
        """`on_message` is called after messages were put into the outbox."""
        self._store = store
        self._identify = identify
        self._routes = routes
        self._access = access
        self._clock = clock
        self._on_message = on_message
        self.stages: tuple[Stage, ...] = (self._recall, self._route, self._place, self._post, self._remember)

    def step(self) -> float | None:
        """Decide a handful; the seconds until there is more to do, None where nothing waits."""
        now = self._now()
        with self._store.read() as work:
            rows = work.inbox.waiting(now, BATCH)
            known = work.issues.get_many(sorted({issue_key(row.alert) for row in rows}))
            due = work.inbox.next_due()
        if not rows:
            return None if due is None else max(0.0, due - now)
        understood = [(row, self._identify(row, known.get(issue_key(row.alert)), now)) for row in rows]
        if self._decide_all(understood):
            self._on_message()
        return 0.0

    def _decide_all(self, understood: Sequence[tuple[WaitingAlert, Identified]]) -> bool:
        spoke = False
        now = self._now()
        with self._store.write() as work:
            work.alone(LOCK_DECIDE)
            still = work.inbox.still_waiting([row.id for row, _ in understood])
            for row, identified in understood:
                if row.id in still:
                    spoke = self._decide(row, identified, now, work) or spoke
        return spoke

    def _decide(self, row: WaitingAlert, identified: Identified, now: float, work: Work) -> bool:
        if identified.wait is not None:
            work.inbox.put_off(row.id, now + identified.wait)
            return False
        case = Case(row, identified.alert, now)
        if identified.lost:
            case.decide("", UNIDENTIFIED)
        else:
            self._run(case, work)
        work.inbox.decide(row.id, case.alert, case.decisions, now)
        return any(placed.speaks for _, placed in case.placed)

    def _run(self, case: Case, work: Work) -> None:
        try:
            for stage in self.stages:
                stage(case, work)
                if case.over:
                    return
        except StoreError:
            raise
        except Exception:
            # One alert that we cannot handle must not hold up the others for ever.
            log.exception("alert %s could not be decided", case.row.id)
            case.decide("", BROKEN)

    def _recall(self, case: Case, work: Work) -> None:
        key = issue_key(case.alert)
        case.known = work.issues.get(key)
        case.groups = work.groups.of_issue(key)
        if case.alert.reason == SEEN_EVENT and case.known is None:
            case.alert = replace(case.alert, reason=NEW)

    def _route(self, case: Case, _work: Work) -> None:
        routed = route_alert(case.alert, self._routes(), self._access)
        case.targets = list(routed.targets)
        for room in routed.hidden:
            case.decide("", NOT_VISIBLE, room)
        if not case.targets and not routed.hidden:
            case.decide("", UNROUTED)

    def _place(self, case: Case, _work: Work) -> None:
        for target in case.targets:
            placed = place(case.groups.get(target.room), case.alert, target.room, target.route, case.now)
            case.placed.append((target, placed))
            case.decide(target.room, placed.name, f"route {target.number}")

    def _post(self, case: Case, work: Work) -> None:
        template, values = first_word(case.alert)
        for target, placed in case.placed:
            if placed.speaks:
                work.outbox.add(
                    Message(
                        target.room,
                        template,
                        values,
                        mention=target.route.mention,
                        issue=placed.group.issue,
                        alert_id=case.row.id,
                    ),
                    case.now,
                )
        placed_groups = {placed.group.room: placed.group for _, placed in case.placed}
        others = (witness(group, case.alert) for room, group in case.groups.items() if room not in placed_groups)
        work.groups.put([*placed_groups.values(), *(group for group in others if group is not None)])

    def _remember(self, case: Case, work: Work) -> None:
        if case.alert.issue_id:
            told = any(placed.speaks for _, placed in case.placed)
            work.issues.put([remembered(case.alert, case.known, case.now, told=told)])

    def _now(self) -> float:
        return self._clock.now().timestamp()


def remembered(alert: Alert, known: KnownIssue | None, now: float, *, told: bool) -> KnownIssue:
    """What is known of an issue after an alert about it."""
    before = known or KnownIssue(alert.issue_id, UNRESOLVED)
    status = status_after(alert.reason, before.status)
    changes = status != before.status or known is None
    return replace(
        before,
        status=status,
        substatus="" if status != before.status else before.substatus,
        short_id=alert.short_id or before.short_id,
        title=alert.title or before.title,
        project=alert.project or before.project,
        events=before.events if alert.events is None else max(alert.events, before.events or 0),
        assignee=alert.assignee or before.assignee,
        level=alert.level or before.level,
        link=alert.link or before.link,
        announced=now if told and before.announced is None else before.announced,
        changed=now if changes else before.changed,
        touched=now,
    )
