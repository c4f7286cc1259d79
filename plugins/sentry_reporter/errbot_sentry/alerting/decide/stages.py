"""The stages of a decision, in the order of `STAGES`. Each looks at the case and adds to it; only the last two write.

What a stage decides is decided by pure functions (`route`, `group`, `hush`); here is the reading and writing around.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from errbot_sentry.alerting.decide.alert_context import BUNDLED, GATHERED, HELD, QUIET, SILENCED, STORM, Case, Outcome
from errbot_sentry.alerting.decide.grouping import (
    DEEDS,
    FIRST,
    MERGED,
    SILENT,
    TOP,
    UNDER,
    UNFOLLOWED,
    issue_key,
    place,
    status_after,
    witness,
)
from errbot_sentry.alerting.decide.mentions import call_on_top, call_under
from errbot_sentry.alerting.decide.messages import first_word, follow_word, mark_of
from errbot_sentry.alerting.decide.muting import STORM_SPAN, SilenceBook, is_chatter, is_storm, quiet_until
from errbot_sentry.alerting.decide.route_table import RouteBook
from errbot_sentry.alerting.decide.routing import NOT_VISIBLE, UNROUTED, Target, may_hear, route_alert
from errbot_sentry.config.routes import QuietHours
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.alerts import NEW, SEEN_EVENT, Alert
from errbot_sentry.domain.issues import UNRESOLVED
from errbot_sentry.store.records import (
    HOLD_DEEDS,
    HOLD_QUIET,
    HOLD_SILENCE,
    HOLD_STORM,
    HOLD_WAIT,
    Held,
    KnownIssue,
    Message,
)

if TYPE_CHECKING:
    from errbot_sentry.store.transaction import Work

Stage = Callable[[Case, "Work"], None]


class Stages:
    """All stages, with what they need to know of routes and rights."""

    def __init__(self, book: RouteBook, access: Access) -> None:
        self._book = book
        self._access = access
        self._silences = SilenceBook()
        self.in_order: tuple[Stage, ...] = (
            self.recall,
            self.route,
            self.follow,
            self.place,
            self.silence,
            self.hold,
            self.post,
            self.remember,
        )

    def recall(self, case: Case, work: Work) -> None:
        """What is known of the issue, and what each room was told of it."""
        key = issue_key(case.alert)
        case.known = work.issues.get(key)
        case.groups = work.groups.of_issue(key)
        case.silences = work.wishes.silences()
        if case.alert.reason == SEEN_EVENT and case.known is None:
            case.alert = replace(case.alert, reason=NEW)

    def route(self, case: Case, _work: Work) -> None:
        """Which rooms want it."""
        routed = route_alert(case.alert, self._book.settled, self._access, self._book.subscribed())
        case.targets = list(routed.targets)
        for room in routed.hidden:
            case.decide("", NOT_VISIBLE, room)

    def follow(self, case: Case, _work: Work) -> None:
        """Rooms that know the problem hear what people do to it, whatever reasons their routes name, while they have
        any: who unsubscribed wants peace."""
        if case.alert.reason in DEEDS:
            wanted = {target.room for target in case.targets}
            for room in case.groups:
                if room not in wanted and self._book.of_room(room) and may_hear(case.alert, room, self._access):
                    case.targets.append(Target(room, None))
        if not case.targets and not case.decisions:
            case.decide("", UNFOLLOWED if case.alert.reason in DEEDS else UNROUTED)

    def place(self, case: Case, _work: Work) -> None:
        """First word, the same again, or something under the first word."""
        for target in case.targets:
            placed = place(case.groups.get(target.room), case.alert, target.room, target.route, case.now, case.row.id)
            if placed is not None:
                case.outcomes.append(Outcome(target, placed, placed.name, placed.voice, target.label, placed.group))

    def silence(self, case: Case, _work: Work) -> None:
        """A silence holds it back: the room's group stays as it was, so that it is told if it goes on afterwards."""
        index = self._silences.index(case.silences)
        for outcome in case.outcomes:
            room = outcome.target.room
            silence = index.of(case.alert, room, case.now)
            if silence is None or outcome.name == MERGED:
                continue
            outcome.silence(SILENCED, f"silence {silence.id}")
            before = case.groups.get(room)
            outcome.group = None if before is None else witness(before, case.alert)
            outcome.hold = Held(
                room, HOLD_SILENCE, case.row.id, outcome.placed.group.issue, silence.ends, case.now, silence=silence.id
            )

    def hold(self, case: Case, work: Work) -> None:
        """Quiet hours, a storm, or the route's `wait` put a word off; what follows on one that is held is not told."""
        for outcome in case.outcomes:
            if not outcome.speaks:
                continue
            quiet = quiet_until(self._quiet_of(outcome.target), case.now)
            if outcome.voice == UNDER:
                self._hold_under(case, outcome, quiet, work)
            else:
                self._hold_top(case, outcome, quiet, work)

    def _hold_under(self, case: Case, outcome: Outcome, quiet: float | None, work: Work) -> None:
        group = outcome.placed.group
        if quiet is not None:
            outcome.silence(QUIET)
        elif group.head == 0:
            outcome.silence(HELD)
        elif work.held.holds(group.room, HOLD_DEEDS, group.issue) or is_chatter(
            work.outbox.recent_under(group.room, case.now - STORM_SPAN), group.issue
        ):
            outcome.silence(BUNDLED)
            due = work.held.due_of_room(group.room, HOLD_DEEDS) or case.now + STORM_SPAN
            outcome.hold = Held(group.room, HOLD_DEEDS, case.row.id, group.issue, due, case.now)

    def _hold_top(self, case: Case, outcome: Outcome, quiet: float | None, work: Work) -> None:
        room, route = outcome.target.room, outcome.target.route
        storm = work.held.due_of_room(room, HOLD_STORM)
        wait = route.wait.total_seconds() if route is not None and outcome.name == FIRST else 0.0
        if quiet is not None:
            name, why, due = QUIET, HOLD_QUIET, quiet
        elif storm is not None:
            name, why, due = STORM, HOLD_STORM, storm
        elif is_storm(work.outbox.recent(room, case.now - STORM_SPAN)):
            name, why, due = STORM, HOLD_STORM, case.now + STORM_SPAN
        elif wait:
            gathering = work.held.due_of_room(room, HOLD_WAIT)
            name, why, due = GATHERED, HOLD_WAIT, gathering if gathering is not None else case.now + wait
        else:
            return
        outcome.silence(name)
        mention = outcome.placed.group.mention
        outcome.hold = Held(room, why, case.row.id, outcome.placed.group.issue, due, case.now, mention)

    def _quiet_of(self, target: Target) -> QuietHours | None:
        routes = [target.route] if target.route is not None else self._book.of_room(target.room)
        return next((route.quiet for route in routes if route.quiet is not None), None)

    def post(self, case: Case, work: Work) -> None:
        """Write the messages, what is held back, and what each room knows now."""
        for outcome in case.outcomes:
            case.decide(outcome.target.room, outcome.name, outcome.detail)
            if outcome.group is None or not outcome.speaks:
                continue
            top, group = outcome.voice == TOP, outcome.placed.group
            call = (
                call_on_top(work, group.mention, case.alert, case.known) if top else call_under(work, group, case.alert)
            )
            head = work.outbox.add(self._message(case, outcome, call.text), case.now)
            outcome.group = replace(
                outcome.group, head=head if top else outcome.group.head, called=call.owner or outcome.group.called
            )
        work.held.add(outcome.hold for outcome in case.outcomes if outcome.hold is not None)
        told = {outcome.target.room for outcome in case.outcomes}
        others = (witness(group, case.alert) for room, group in case.groups.items() if room not in told)
        changed = [outcome.group for outcome in case.outcomes]
        work.groups.put(group for group in (*changed, *others) if group is not None)

    def _message(self, case: Case, outcome: Outcome, mention: str) -> Message:
        group = outcome.placed.group
        if outcome.voice == TOP:
            template, values = first_word(case.alert)
            return Message(group.room, template, values, mention=mention, issue=group.issue, alert_id=case.row.id)
        template, values = follow_word(case.alert, outcome.name)
        return Message(
            group.room, template, values, mention=mention, issue=group.issue, alert_id=case.row.id, top=False,
            head=group.head, mode=group.mode, mark=mark_of(case.alert),
        )  # fmt: skip

    def remember(self, case: Case, work: Work) -> None:
        """What is known of the issue from now on."""
        if case.alert.issue_id:
            told = any(outcome.voice != SILENT or outcome.hold is not None for outcome in case.outcomes)
            work.issues.put([remembered(case.alert, case.known, case.now, told=told)])


def remembered(alert: Alert, known: KnownIssue | None, now: float, *, told: bool) -> KnownIssue:
    """What is known of an issue after an alert about it."""
    before = known or KnownIssue(alert.issue_id, UNRESOLVED)
    status = status_after(alert, before.status)
    changes = status != before.status or known is None
    if alert.assignee_kind:
        owner = alert.assignee, alert.assignee_kind, alert.assignee_mail
    else:
        owner = alert.assignee or before.assignee, before.assignee_kind, before.assignee_mail
    return replace(
        before,
        status=status,
        substatus="" if status != before.status else before.substatus,
        short_id=alert.short_id or before.short_id,
        title=alert.title or before.title,
        project=alert.project or before.project,
        events=before.events if alert.events is None else max(alert.events, before.events or 0),
        # The poller tells a regression from a reopening by this.
        last_seen=before.last_seen if alert.reason in DEEDS else max(before.last_seen, alert.at.timestamp()),
        assignee=owner[0],
        assignee_kind=owner[1],
        assignee_mail=owner[2],
        level=alert.level or before.level,
        link=alert.link or before.link,
        announced=now if told and before.announced is None else before.announced,
        changed=now if changes else before.changed,
        touched=now,
    )
