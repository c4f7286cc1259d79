"""The stages of a decision, in the order of `STAGES`. Each looks at the case and adds to it; only the last two write.

What a stage decides is decided by pure functions (`route`, `group`, `hush`); here is the reading and writing around.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from errbot_sentry.alerting.decide.alert_context import (
    BUNDLED,
    GATHERED,
    HELD,
    QUIET,
    SILENCED,
    STORM,
    AlertContext,
    Outcome,
)
from errbot_sentry.alerting.decide.grouping import (
    ACTIVITIES,
    CHANNEL,
    FIRST,
    MERGED,
    NOWHERE,
    THREAD,
    UNFOLLOWED,
    decide_placement,
    issue_key,
    status_after,
    witness,
)
from errbot_sentry.alerting.decide.mentions import mention_in_channel, mention_in_thread
from errbot_sentry.alerting.decide.messages import mark_of, notification, update
from errbot_sentry.alerting.decide.muting import STORM_SPAN, SilenceBook, is_chatter, is_storm, quiet_until
from errbot_sentry.alerting.decide.route_table import RouteTable
from errbot_sentry.alerting.decide.routing import NOT_VISIBLE, UNROUTED, Target, may_see_alert, route_alert
from errbot_sentry.config.routes import QuietHours
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.alerts import NEW, SEEN_EVENT, Alert
from errbot_sentry.domain.issues import UNRESOLVED
from errbot_sentry.store.records import (
    DEFER_QUIET,
    DEFER_SILENCE,
    DEFER_STORM,
    DEFER_UPDATES,
    DEFER_WAIT,
    Deferred,
    KnownIssue,
    Message,
)

if TYPE_CHECKING:
    from errbot_sentry.store.transaction import Transaction

Stage = Callable[[AlertContext, "Transaction"], None]


class Stages:
    """All stages, with what they need to know of routes and rights."""

    def __init__(self, book: RouteTable, access: Access) -> None:
        self._book = book
        self._access = access
        self._silences = SilenceBook()
        self.in_order: tuple[Stage, ...] = (
            self.recall,
            self.route,
            self.follow,
            self.decide_placement,
            self.silence,
            self.deferral,
            self.post,
            self.remember,
        )

    def recall(self, context: AlertContext, tx: Transaction) -> None:
        """What is known of the issue, and what each room was told of it."""
        key = issue_key(context.alert)
        context.known = tx.issues.get(key)
        context.groups = tx.groups.of_issue(key)
        context.silences = tx.silences.present()
        if context.alert.reason == SEEN_EVENT and context.known is None:
            context.alert = replace(context.alert, reason=NEW)

    def route(self, context: AlertContext, _tx: Transaction) -> None:
        """Which rooms want it."""
        routed = route_alert(context.alert, self._book.settled, self._access, self._book.subscribed())
        context.targets = list(routed.targets)
        for room in routed.hidden:
            context.decide("", NOT_VISIBLE, room)

    def follow(self, context: AlertContext, _tx: Transaction) -> None:
        """Rooms that know the problem hear what people do to it, whatever reasons their routes name, while they have
        any: who unsubscribed wants peace."""
        if context.alert.reason in ACTIVITIES:
            wanted = {target.room for target in context.targets}
            for room in context.groups:
                if room not in wanted and self._book.of_room(room) and may_see_alert(context.alert, room, self._access):
                    context.targets.append(Target(room, None))
        if not context.targets and not context.decisions:
            context.decide("", UNFOLLOWED if context.alert.reason in ACTIVITIES else UNROUTED)

    def decide_placement(self, context: AlertContext, _tx: Transaction) -> None:
        """First word, the same again, or something under the first word."""
        for target in context.targets:
            decided = decide_placement(
                context.groups.get(target.room), context.alert, target.room, target.route, context.now, context.row.id
            )
            if decided is not None:
                context.outcomes.append(
                    Outcome(target, decided, decided.name, decided.placement, target.label, decided.group)
                )

    def silence(self, context: AlertContext, _tx: Transaction) -> None:
        """A silence holds it back: the room's group stays as it was, so that it is told if it goes on afterwards."""
        index = self._silences.index(context.silences)
        for outcome in context.outcomes:
            room = outcome.target.room
            silence = index.of(context.alert, room, context.now)
            if silence is None or outcome.name == MERGED:
                continue
            outcome.silence(SILENCED, f"silence {silence.id}")
            before = context.groups.get(room)
            outcome.group = None if before is None else witness(before, context.alert)
            outcome.deferral = Deferred(
                room,
                DEFER_SILENCE,
                context.row.id,
                outcome.decided.group.issue,
                silence.ends,
                context.now,
                silence=silence.id,
            )

    def deferral(self, context: AlertContext, tx: Transaction) -> None:
        """Quiet hours, a storm, or the route's `wait` put a word off; what follows on one that is held is not told."""
        for outcome in context.outcomes:
            if not outcome.speaks:
                continue
            quiet = quiet_until(self._quiet_of(outcome.target), context.now)
            if outcome.placement == THREAD:
                self._hold_under(context, outcome, quiet, tx)
            else:
                self._hold_top(context, outcome, quiet, tx)

    def _hold_under(self, context: AlertContext, outcome: Outcome, quiet: float | None, tx: Transaction) -> None:
        group = outcome.decided.group
        if quiet is not None:
            outcome.silence(QUIET)
        elif group.thread_root == 0:
            outcome.silence(HELD)
        elif tx.deferred.contains(group.room, DEFER_UPDATES, group.issue) or is_chatter(
            tx.outbox.recent_under(group.room, context.now - STORM_SPAN), group.issue
        ):
            outcome.silence(BUNDLED)
            due = tx.deferred.due_of_room(group.room, DEFER_UPDATES) or context.now + STORM_SPAN
            outcome.deferral = Deferred(group.room, DEFER_UPDATES, context.row.id, group.issue, due, context.now)

    def _hold_top(self, context: AlertContext, outcome: Outcome, quiet: float | None, tx: Transaction) -> None:
        room, route = outcome.target.room, outcome.target.route
        storm = tx.deferred.due_of_room(room, DEFER_STORM)
        wait = route.wait.total_seconds() if route is not None and outcome.name == FIRST else 0.0
        if quiet is not None:
            name, why, due = QUIET, DEFER_QUIET, quiet
        elif storm is not None:
            name, why, due = STORM, DEFER_STORM, storm
        elif is_storm(tx.outbox.recent(room, context.now - STORM_SPAN)):
            name, why, due = STORM, DEFER_STORM, context.now + STORM_SPAN
        elif wait:
            gathering = tx.deferred.due_of_room(room, DEFER_WAIT)
            name, why, due = GATHERED, DEFER_WAIT, gathering if gathering is not None else context.now + wait
        else:
            return
        outcome.silence(name)
        mention = outcome.decided.group.mention
        outcome.deferral = Deferred(room, why, context.row.id, outcome.decided.group.issue, due, context.now, mention)

    def _quiet_of(self, target: Target) -> QuietHours | None:
        routes = [target.route] if target.route is not None else self._book.of_room(target.room)
        return next((route.quiet for route in routes if route.quiet is not None), None)

    def post(self, context: AlertContext, tx: Transaction) -> None:
        """Write the messages, what is held back, and what each room knows now."""
        for outcome in context.outcomes:
            context.decide(outcome.target.room, outcome.name, outcome.detail)
            if outcome.group is None or not outcome.speaks:
                continue
            top, group = outcome.placement == CHANNEL, outcome.decided.group
            call = (
                mention_in_channel(tx, group.mention, context.alert, context.known)
                if top
                else mention_in_thread(tx, group, context.alert)
            )
            head = tx.outbox.add(self._message(context, outcome, call.text), context.now)
            outcome.group = replace(
                outcome.group,
                thread_root=head if top else outcome.group.thread_root,
                mentioned=call.owner or outcome.group.mentioned,
            )
        tx.deferred.add(outcome.deferral for outcome in context.outcomes if outcome.deferral is not None)
        told = {outcome.target.room for outcome in context.outcomes}
        others = (witness(group, context.alert) for room, group in context.groups.items() if room not in told)
        changed = [outcome.group for outcome in context.outcomes]
        tx.groups.put(group for group in (*changed, *others) if group is not None)

    def _message(self, context: AlertContext, outcome: Outcome, mention: str) -> Message:
        group = outcome.decided.group
        if outcome.placement == CHANNEL:
            template, values = notification(context.alert)
            return Message(group.room, template, values, mention=mention, issue=group.issue, alert_id=context.row.id)
        template, values = update(context.alert, outcome.name)
        return Message(
            group.room, template, values, mention=mention, issue=group.issue, alert_id=context.row.id,
            notification=False, thread_root=group.thread_root, placement=group.placement, mark=mark_of(context.alert),
        )  # fmt: skip

    def remember(self, context: AlertContext, tx: Transaction) -> None:
        """What is known of the issue from now on."""
        if context.alert.issue_id:
            told = any(outcome.placement != NOWHERE or outcome.deferral is not None for outcome in context.outcomes)
            tx.issues.put([remembered(context.alert, context.known, context.now, told=told)])


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
        last_seen=before.last_seen if alert.reason in ACTIVITIES else max(before.last_seen, alert.at.timestamp()),
        assignee=owner[0],
        assignee_kind=owner[1],
        assignee_mail=owner[2],
        level=alert.level or before.level,
        link=alert.link or before.link,
        notified_at=now if told and before.notified_at is None else before.notified_at,
        changed=now if changes else before.changed,
        touched=now,
    )
