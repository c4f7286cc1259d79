"""The stages of a decision, in the order of `Stages.in_order`. Each reads the context and adds to it.

Pure functions decide (`routing`, `grouping`, `muting`, `messages`). The stages read for them; only the last two write.

Below the stages is what `defer` and `queue` do for one room. Direct messages come last (`_queue_direct`): the alert is
sent also to each person whom the room's message mentions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from errbot_sentry.alerting.decide.alert_context import AlertContext, RoomOutcome
from errbot_sentry.alerting.decide.batch import Batch
from errbot_sentry.alerting.decide.decisions import DecisionName
from errbot_sentry.alerting.decide.enrich import facts_after, with_known_amounts
from errbot_sentry.alerting.decide.grouping import decide_placement, group_after, group_not_sent, status_after
from errbot_sentry.alerting.decide.messages import (
    mention_in_channel,
    mention_in_thread,
    notification,
    people_mentioned,
    stack_trace,
    update,
)
from errbot_sentry.alerting.decide.muting import (
    CATCH_UP_SPAN,
    STORM_SPAN,
    SilenceIndexCache,
    has_too_many_updates,
    is_storm,
)
from errbot_sentry.alerting.decide.route_table import RouteTable
from errbot_sentry.alerting.decide.routing import Target, may_see_alert, route_alert
from errbot_sentry.config.facts import NAMES, can_be_known
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.alerts import ACTIVITIES, NEW, SEEN_EVENT, Alert, Placement
from errbot_sentry.domain.issues import UNRESOLVED
from errbot_sentry.store.records import (
    DeferReason,
    Deferred,
    Group,
    KnownIssue,
    Message,
    issue_key,
)

if TYPE_CHECKING:
    from errbot_sentry.store.transaction import Transaction

Stage = Callable[[AlertContext, Batch], None]


class Stages:
    """All stages, with the routes and rights that they need."""

    def __init__(self, routes: RouteTable, access: Access, kind: Callable[[], str]) -> None:
        """`kind` is the server's, "" while it is not known."""
        self._kind = kind
        self._routes = routes
        self._access = access
        self._silences = SilenceIndexCache()
        self.in_order: tuple[Stage, ...] = (
            self.load,
            self.route,
            self.add_notified_rooms,
            self.decide_placement,
            self.silence,
            self.defer,
            self.queue,
            self.remember,
        )

    def load(self, context: AlertContext, batch: Batch) -> None:
        """Read what is known of the issue, its groups in all rooms, and the silences.

        A single event of an unknown issue becomes a new issue.
        """
        key = issue_key(context.alert)
        context.known = batch.issue(key)
        context.groups = batch.groups(key)
        context.silences = batch.silences
        if context.alert.reason == SEEN_EVENT and context.known is None:
            context.alert = replace(context.alert, reason=NEW)

    def route(self, context: AlertContext, _batch: Batch) -> None:
        """Find the rooms that want the alert. If a fact is missing, rooms that know the problem still get it."""
        kind = self._kind()
        alert = with_known_amounts(context.alert, context.known)
        routed = route_alert(alert, self._routes.settled, self._access, self._routes.subscribed(), kind)
        context.targets = list(routed.targets)
        for target, names in routed.undecided.items():
            if target.room in context.groups:
                context.targets.append(target)
            else:
                context.decide(target.room, DecisionName.FACT_MISSING, missing_words(names, kind))
        for room in routed.hidden:
            context.decide("", DecisionName.NOT_VISIBLE, room)

    def add_notified_rooms(self, context: AlertContext, _batch: Batch) -> None:
        """Add the rooms that were notified of the problem, if the alert is an activity.

        They get activities whatever reasons their routes have, as long as any route or subscription names the room.
        """
        is_activity = context.alert.reason in ACTIVITIES
        if is_activity:
            routed = {target.room for target in context.targets}
            for room in context.groups:
                if room not in routed and self._routes.of_room(room) and self._may_see(context, room):
                    context.targets.append(Target(room, None))
        if not context.targets and not context.decisions:
            context.decide("", DecisionName.NEVER_NOTIFIED if is_activity else DecisionName.UNROUTED)

    def decide_placement(self, context: AlertContext, _batch: Batch) -> None:
        """Decide for each room: a notification, an update, or nothing."""
        for target in context.targets:
            last = context.groups.get(target.room)
            decision = decide_placement(last, context.alert, context.now)
            group = group_after(last, decision, context.alert, target.room, target.route, context.now, context.row.id)
            waited = decision.name is DecisionName.FIRST and _waited(context, target)
            name = DecisionName.REACHED if waited else decision.name
            context.outcomes.append(RoomOutcome(target, name, decision.placement, group, group, target.label))

    def silence(self, context: AlertContext, _batch: Batch) -> None:
        """Withhold the alert where a silence matches. The group stays as it was, so what comes later is sent."""
        index = self._silences.index(context.silences)
        for outcome in context.outcomes:
            room = outcome.target.room
            silence = index.of(context.alert, room, context.now)
            if silence is None or outcome.name is DecisionName.MERGED:
                continue
            outcome.withhold(DecisionName.SILENCED, f"silence {silence.id}")
            before = context.groups.get(room)
            outcome.stored = None if before is None else group_not_sent(before, context.alert)
            why, issue = DeferReason.SILENCE, outcome.group.issue
            outcome.deferral = Deferred(room, why, context.row.id, issue, silence.ends, context.now, silence=silence.id)

    def defer(self, context: AlertContext, batch: Batch) -> None:
        """Put off notifications (quiet hours, a catch-up, a storm, the route's `wait`), and updates if they are many.

        Updates in quiet hours, and those whose notification is itself deferred, are dropped.
        """
        for outcome in context.outcomes:
            if not outcome.is_sent:
                continue
            batch.enter_rooms()
            quiet = self._routes.quiet_until(outcome.target.room, context.now)
            if outcome.placement is Placement.THREAD:
                self._defer_update(context, outcome, quiet, batch.tx)
            else:
                self._defer_notification(context, outcome, quiet, batch.tx)

    def queue(self, context: AlertContext, batch: Batch) -> None:
        """Write the messages, the deferrals, and each room's group."""
        for outcome in context.outcomes:
            context.decide(outcome.target.room, outcome.name, outcome.detail)
            if outcome.is_sent:
                outcome.stored = self._queue_message(context, outcome, batch.tx)
        batch.tx.deferred.add(outcome.deferral for outcome in context.outcomes if outcome.deferral is not None)
        decided = {outcome.target.room for outcome in context.outcomes}
        others = [group_not_sent(group, context.alert) for room, group in context.groups.items() if room not in decided]
        changed = [outcome.stored for outcome in context.outcomes]
        batch.put_groups(group for group in (*changed, *others) if group is not None)

    def remember(self, context: AlertContext, batch: Batch) -> None:
        """Write what is known of the issue after this alert."""
        if context.alert.issue_id:
            notified = any(outcome.is_sent or outcome.deferral is not None for outcome in context.outcomes)
            known = known_after(context.alert, context.known, context.now, notified=notified)
            lacks = context.without and any(each.name == DecisionName.FACT_MISSING for each in context.decisions)
            batch.put_issue(replace(known, lacking=known.lacking + 1 if lacks else 0))

    def _may_see(self, context: AlertContext, room: str) -> bool:
        return may_see_alert(context.alert, room, self._access)

    def _defer_update(self, context: AlertContext, outcome: RoomOutcome, quiet: float | None, tx: Transaction) -> None:
        room, issue = outcome.group.room, outcome.group.issue
        if quiet is not None:
            outcome.withhold(DecisionName.QUIET)
        elif outcome.group.thread_root == 0:
            outcome.withhold(DecisionName.NOT_YET_NOTIFIED)
        elif tx.deferred.contains(room, DeferReason.UPDATES, issue) or has_too_many_updates(
            tx.outbox.recent(room, Placement.THREAD, context.now - STORM_SPAN), issue
        ):
            outcome.withhold(DecisionName.UPDATES_BATCHED)
            due = tx.deferred.due_of_room(room, DeferReason.UPDATES) or context.now + STORM_SPAN
            outcome.deferral = Deferred(room, DeferReason.UPDATES, context.row.id, issue, due, context.now)

    def _defer_notification(
        self, context: AlertContext, outcome: RoomOutcome, quiet: float | None, tx: Transaction
    ) -> None:
        room, route = outcome.target.room, outcome.target.route
        storm = tx.deferred.due_of_room(room, DeferReason.STORM)
        wait = route.wait.total_seconds() if route is not None and outcome.name in _FIRSTS else 0.0
        if quiet is not None:
            name, why, due = DecisionName.QUIET, DeferReason.QUIET, quiet
        elif context.alert.away_since is not None:
            name, why, due = DecisionName.AWAY, DeferReason.AWAY, context.now + CATCH_UP_SPAN
        elif storm is not None:
            name, why, due = DecisionName.STORM, DeferReason.STORM, storm
        elif is_storm(tx.outbox.recent(room, Placement.CHANNEL, context.now - STORM_SPAN)):
            name, why, due = DecisionName.STORM, DeferReason.STORM, context.now + STORM_SPAN
        elif wait:
            begun = tx.deferred.due_of_room(room, DeferReason.WAIT)
            name, why, due = DecisionName.BATCHED, DeferReason.WAIT, begun if begun is not None else context.now + wait
        else:
            return
        outcome.withhold(name)
        group = outcome.group
        outcome.deferral = Deferred(room, why, context.row.id, group.issue, due, context.now, group.mention)

    def _queue_message(self, context: AlertContext, outcome: RoomOutcome, tx: Transaction) -> Group:
        """Put the message into the outbox; returns the room's group after it."""
        group = outcome.group
        if outcome.placement is Placement.CHANNEL:
            choice = mention_in_channel(tx, group.mention, context.alert, context.known)
        else:
            choice = mention_in_thread(tx, group, context.alert)
        number = tx.outbox.add(self._message(context, outcome, choice.text), context.now)
        self._queue_direct(context, outcome, choice.text, tx)
        root = number if outcome.placement is Placement.CHANNEL else group.thread_root
        route = outcome.target.route
        if root == number and route is not None and route.trace and context.alert.trace:
            tx.outbox.add(stack_trace(group, context.alert, root, context.row.id), context.now)
        return replace(group, thread_root=root, mentioned=choice.owner or group.mentioned)

    def _message(self, context: AlertContext, outcome: RoomOutcome, mention: str) -> Message:
        group, alert, number = outcome.group, context.alert, context.row.id
        if outcome.placement is Placement.CHANNEL:
            show = outcome.target.route.show if outcome.target.route is not None else ()
            return notification(group.room, alert, group.issue, number, mention, show)
        is_again = outcome.name is DecisionName.FLAPPING and group.returns > 1
        return update(group, alert, number, mention, is_again=is_again)

    def _queue_direct(self, context: AlertContext, outcome: RoomOutcome, mention: str, tx: Transaction) -> None:
        """If the route says so, send the alert also to each linked person whom the room's message mentions.

        Each gets it once, and not if they get it by a subscription of their own.
        """
        route = outcome.target.route or self._routes.route_for(outcome.target.room, context.alert)
        if route is None or not route.direct:
            return
        subscribers = {each.target.room for each in context.outcomes}
        for room in people_mentioned(tx, mention):
            if room in context.people | subscribers or not self._may_see(context, room):
                continue
            context.people.add(room)
            issue, number, now = outcome.group.issue, context.row.id, context.now
            begun = tx.deferred.due_of_room(room, DeferReason.STORM)
            if begun is not None or is_storm(tx.outbox.recent(room, Placement.CHANNEL, now - STORM_SPAN)):
                due = now + STORM_SPAN if begun is None else begun
                tx.deferred.add([Deferred(room, DeferReason.STORM, number, issue, due, now)])
                context.decide(room, DecisionName.STORM)
            else:
                tx.outbox.add(notification(room, context.alert, issue, number, "", route.show), now)
                context.decide(room, DecisionName.SENT_DIRECT)


_FIRSTS = (DecisionName.FIRST, DecisionName.REACHED)


def _waited(context: AlertContext, target: Target) -> bool:
    """Whether the route waited for a number of events or users, and the problem is not new."""
    route = target.route
    return context.known is not None and route is not None and any(matcher.grows for matcher in route.matchers)


def missing_words(names: Sequence[str], kind: str) -> str:
    """A sentence for people about missing facts: `the server did not report its environment`."""
    never = [name for name in names if not can_be_known(name, kind)]
    if never:
        return f"{NAMES[kind]} never reports {', '.join(never)}"
    return f"the server did not report its {', '.join(names)}"


def known_after(alert: Alert, known: KnownIssue | None, now: float, *, notified: bool) -> KnownIssue:
    """What is known of an issue after an alert about it; `notified` says whether any room was notified."""
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
        # By this the poller tells a regression from a reopening; it writes the value itself.
        last_seen=before.last_seen
        if alert.reason in ACTIVITIES or alert.source == "poll"
        else max(before.last_seen, alert.at.timestamp()),
        assignee=owner[0],
        assignee_kind=owner[1],
        assignee_mail=owner[2],
        level=alert.level or before.level,
        link=alert.link or before.link,
        notified_at=now if notified and before.notified_at is None else before.notified_at,
        changed=now if changes else before.changed,
        touched=now,
        facts=facts_after(alert, known, now),
    )
