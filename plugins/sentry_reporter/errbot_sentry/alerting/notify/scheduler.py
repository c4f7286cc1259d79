"""Does what is due at a time: closes windows, sends deferred messages, notices and digests, and deletes old rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from errbot_sentry.alerting.decide.decisions import DecisionName
from errbot_sentry.alerting.decide.grouping import WindowDecision, decide_window, group_after_window
from errbot_sentry.alerting.decide.messages import (
    count_update,
    mention_in_channel,
    mention_in_thread,
    notification,
    notification_list,
    people_mentioned,
    silence_notice,
    stack_trace,
    update_list,
)
from errbot_sentry.alerting.decide.muting import (
    CATCH_UP_SPAN,
    MOST_NOTIFICATIONS,
    MOST_SINGLE_AFTER_AWAY,
    STORM_SPAN,
    SilenceIndex,
    SilenceIndexCache,
    next_change,
    rooms_of,
    same_silence,
)
from errbot_sentry.alerting.decide.route_table import RouteTable
from errbot_sentry.alerting.decide.visibility import may_see_now, shown_silence
from errbot_sentry.alerting.notify.digest_reports import Digests
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.alerts import Alert, MessageKind
from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.conversation import Conversation
from errbot_sentry.domain.issues import UNRESOLVED
from errbot_sentry.store.database import LOCK_DECIDE, Store
from errbot_sentry.store.records import Decision, DeferReason, Deferred, Group, KnownIssue, Silence

if TYPE_CHECKING:
    from errbot_sentry.store.transaction import Transaction


_GROUPS_AT_ONCE = 50
_CLEANING = 60.0
_LONGEST_CATCH_UP = 120.0
_LIST_KINDS = {
    DeferReason.STORM: MessageKind.STORM_LIST,
    DeferReason.QUIET: MessageKind.QUIET_LIST,
    DeferReason.WAIT: MessageKind.WAIT_LIST,
    DeferReason.AWAY: MessageKind.AWAY_LIST,
}


class _Due(NamedTuple):
    """A deferred message that is due, its alert, and the present status of its issue."""

    deferred: Deferred
    alert: Alert
    status: str


class Scheduler:
    """Finds everything that is due and does it, one step at a time."""

    def __init__(
        self,
        store: Store,
        routes: RouteTable,
        digests: Digests,
        access: Access,
        clock: Clock,
        on_message: Callable[[], None],
    ) -> None:
        """`on_message` is called after messages were put into the outbox."""
        self._store = store
        self._routes = routes
        self._digests = digests
        self._access = access
        self._clock = clock
        self._on_message = on_message
        self._cleaned = 0.0
        self._silences = SilenceIndexCache()

    def step(self) -> float | None:
        """Do what is due. Returns how many seconds to wait before the next step; None if nothing is scheduled."""
        now = self._clock.now().timestamp()
        self._clean(now)
        due = self._next_due(now)
        if due is None or due > now:
            return None if due is None else due - now
        with self._store.read() as tx:
            reports = self._digests.prepare(tx, now)
        with self._store.write() as tx:
            tx.alone(LOCK_DECIDE)
            sent = [
                self._close_windows(tx, now),
                self._send_deferred(tx, now),
                self._send_silence_notices(tx, now),
                self._digests.queue(tx, reports, now),
            ]
        if any(sent):
            self._on_message()
        return 0.0

    def _next_due(self, now: float) -> float | None:
        with self._store.read() as tx:
            times = [tx.groups.next_due(), tx.deferred.next_due(now), tx.digests.next_due()]
            times += [self._notice_due(tx, silence, now) for silence in tx.silences.present()]
        known = [time for time in times if time is not None]
        return min(known, default=None)

    def _close_windows(self, tx: Transaction, now: float) -> bool:
        groups = tx.groups.due(now, _GROUPS_AT_ONCE)
        known = tx.issues.get_many([group.issue for group in groups])
        alerts = tx.inbox.get([group.alert_id for group in groups])
        silences = self._silences.index(tx.silences.present() if groups else [])
        sent = []
        for group in groups:
            issue, alert = known.get(group.issue), alerts.get(group.alert_id)
            close = partial(self._close_window, tx, group, issue, alert, silences, now)
            sent.append(tx.apart(close, partial(tx.groups.set_aside, group.room, group.issue)))
        return any(sent)

    def _close_window(
        self,
        tx: Transaction,
        group: Group,
        known: KnownIssue | None,
        last: Alert | None,
        silences: SilenceIndex,
        now: float,
    ) -> bool:
        allowed = may_see_now(last, known, group.room, self._access)
        if not allowed or not self._routes.of_room(group.room):  # a room that has unsubscribed gets nothing either
            tx.groups.put([replace(group, due=None)])
            return False
        later = self._later(tx, group, last, silences, now)
        if later is not None:
            tx.groups.put([replace(group, due=later)])
            return False
        decision = decide_window(group, known, now)
        if decision.is_sent:
            is_reminder = decision is WindowDecision.REMINDER
            tx.outbox.add(count_update(group, known, now, is_reminder=is_reminder), now)
        tx.groups.put([group_after_window(group, decision, known, now)])
        return decision.is_sent

    def _later(
        self, tx: Transaction, group: Group, last: Alert | None, silences: SilenceIndex, now: float
    ) -> float | None:
        """When to look at this group again if its room must get nothing now; None if the room may get a message."""
        if group.thread_root == 0:  # the group's notification is still deferred
            return now + max(group.span, STORM_SPAN)
        quiet = self._routes.quiet_until(group.room, now)
        if quiet is not None:
            return quiet + group.window
        silence = silences.of(last, group.room, now) if last is not None else None
        if silence is not None:
            return silence.ends + group.window
        if tx.outbox.count_recent(group.room, now - STORM_SPAN) >= MOST_NOTIFICATIONS:
            return now + STORM_SPAN
        return None

    def _send_deferred(self, tx: Transaction, now: float) -> bool:
        sent = [
            tx.apart(partial(self._send_to_room, tx, room, reason, now), partial(tx.deferred.set_aside, room, reason))
            for room, reason in tx.deferred.due(now)
        ]
        return any(sent)

    def _send_to_room(self, tx: Transaction, room: str, reason: DeferReason, now: float) -> bool:
        deferred = tx.deferred.of_room(room, reason)
        if reason is DeferReason.AWAY and _is_catching_up(tx, deferred, now):
            tx.deferred.postpone(room, reason, now + CATCH_UP_SPAN)
            return False
        alerts = tx.inbox.get([each.alert_id for each in deferred])
        known = tx.issues.get_many([each.issue for each in deferred])
        silences = self._silences.index(tx.silences.present())
        due = []
        for each in deferred:
            alert = alerts.get(each.alert_id)
            status = known[each.issue].status if each.issue in known else UNRESOLVED
            if alert is None:
                continue
            if not may_see_now(alert, known.get(each.issue), room, self._access):
                self._decide(tx, each, alert, DecisionName.NOT_VISIBLE, now)
            elif reason is DeferReason.WAIT and status != UNRESOLVED:
                self._decide(tx, each, alert, DecisionName.RESOLVED_EARLY, now)
            elif not self._defer_again(tx, each, alert, silences, now):
                due.append(_Due(each, alert, status))
        if due and reason is DeferReason.UPDATES:
            self._send_updates(tx, room, due, known, now)
        elif due:
            for some in _parts(due, known) if reason is DeferReason.AWAY else [due]:
                mentions = self._mentions(tx, some, known)
                self._send_notifications(tx, room, _LIST_KINDS[reason], some, _each_once(mentions), now)
                self._send_direct(tx, _LIST_KINDS[reason], list(zip(some, mentions, strict=True)), known, now)
        tx.deferred.drop([each.id for each in deferred])
        return bool(due)

    def _defer_again(
        self, tx: Transaction, deferred: Deferred, alert: Alert, silences: SilenceIndex, now: float
    ) -> bool:
        """Whether a deferred message must not be sent now either.

        Meanwhile the room's last route may be gone, somebody may have made a silence, or quiet hours may have begun.
        """
        room, issue = deferred.room, deferred.issue
        if not self._routes.names(room):
            self._decide(tx, deferred, alert, DecisionName.UNROUTED, now, "no route names the room any more")
            tx.groups.forget_unsent(room, issue)
            return True
        silence = silences.of(alert, room, now)
        if silence is not None:
            self._decide(tx, deferred, alert, DecisionName.SILENCED, now, f"silence {silence.id}")
            tx.deferred.add([replace(deferred, reason=DeferReason.SILENCE, due=silence.ends, silence=silence.id)])
            tx.groups.forget_unsent(room, issue)  # so that the next alert after the silence is a notification again
            return True
        quiet = self._routes.quiet_until(room, now)
        if quiet is not None:
            self._decide(tx, deferred, alert, DecisionName.QUIET, now)
            if deferred.reason is not DeferReason.UPDATES:  # updates are not sent after quiet hours
                tx.deferred.add([replace(deferred, reason=DeferReason.QUIET, due=quiet)])
            return True
        return False

    def _decide(
        self, tx: Transaction, deferred: Deferred, alert: Alert, name: DecisionName, now: float, detail: str = ""
    ) -> None:
        """Store the decision about a deferred alert that is not sent."""
        decision = Decision(deferred.alert_id, deferred.room, name.value, detail, alert.reason, deferred.issue)
        tx.inbox.decide(deferred.alert_id, alert, [decision], now)

    def _mentions(self, tx: Transaction, due: list[_Due], known: Mapping[str, KnownIssue]) -> list[str]:
        """The text that mentions people, for each of these notifications."""
        texts = []
        for each in due:
            room, issue = each.deferred.room, each.deferred.issue
            choice = mention_in_channel(tx, each.deferred.mention, known.get(issue), each.alert)
            texts.append(choice.text)
            if choice.owner:
                tx.groups.set_mentioned(room, issue, choice.owner)
        return texts

    def _send_direct(
        self,
        tx: Transaction,
        kind: MessageKind,
        mentioned: Sequence[tuple[_Due, str]],
        known: Mapping[str, KnownIssue],
        now: float,
    ) -> None:
        """Send the notifications that mention a linked person to that person directly, if the route is set to do so.

        People who have subscribed to the problem get it anyway, so they get no second copy.
        """
        theirs: dict[str, list[_Due]] = {}
        for each, text in mentioned:
            issue = each.deferred.issue
            route = self._routes.route_for(each.deferred.room, each.alert)
            for person in people_mentioned(tx, text) if route is not None and route.direct else ():
                is_subscriber = self._routes.of_room(person) and person in tx.groups.of_issue(issue)
                if not is_subscriber and may_see_now(each.alert, known.get(issue), person, self._access):
                    theirs.setdefault(person, []).append(each)
        for person, some in theirs.items():
            self._send_notifications(tx, person, kind, some, "", now)

    def _send_notifications(
        self, tx: Transaction, room: str, kind: MessageKind, due: list[_Due], mention: str, now: float
    ) -> None:
        if len(due) == 1 and kind is not MessageKind.QUIET_LIST:
            (only,) = due
            issue, alert_id = only.deferred.issue, only.deferred.alert_id
            route = self._routes.route_for(room, only.alert)
            show = route.show if route is not None else ()
            root = tx.outbox.add(notification(room, only.alert, issue, alert_id, mention, show), now)
            group = tx.groups.of_issue(issue).get(room) if route is not None and route.trace else None
            if group is not None and only.alert.trace:
                tx.outbox.add(stack_trace(group, only.alert, root, alert_id), now)
            tx.groups.sent_alone(room, issue, root)
            return
        root = tx.outbox.add(notification_list(room, kind, [(each.alert, each.status) for each in due], mention), now)
        tx.groups.sent_in_list(room, [each.deferred.issue for each in due], root)

    def _send_updates(
        self, tx: Transaction, room: str, due: list[_Due], known: Mapping[str, KnownIssue], now: float
    ) -> None:
        """Send many updates in one message. Each new assignee is mentioned once."""
        issues = {each.deferred.issue for each in due}
        groups = {issue: tx.groups.of_issue(issue).get(room) for issue in issues}
        mentioned = []
        for each in due:
            issue = each.deferred.issue
            group = groups[issue]
            choice = mention_in_thread(tx, group, each.alert) if group is not None else None
            if choice is not None and choice.owner and group is not None:
                mentioned.append((each, choice.text))
                groups[issue] = replace(group, mentioned=choice.owner)
                tx.groups.set_mentioned(room, issue, choice.owner)
        only = groups[issues.pop()] if len(issues) == 1 else None
        tx.outbox.add(
            update_list(room, [each.alert for each in due], _each_once([text for _, text in mentioned]), only), now
        )
        self._send_direct(tx, MessageKind.STORM_LIST, mentioned, known, now)

    def _send_silence_notices(self, tx: Transaction, now: float) -> bool:
        sent = [
            tx.apart(
                partial(self._send_silence_notice, tx, silence, now),
                partial(tx.silences.set_aside, silence.id),
            )
            for silence in tx.silences.present()
            if self._notice_due(tx, silence, now) <= now
        ]
        return any(sent)

    def _send_silence_notice(self, tx: Transaction, silence: Silence, now: float) -> bool:
        ended = now >= silence.ends
        deferred = tx.deferred.of_silence(silence.id)
        quiet = {room for room in rooms_of(silence, deferred) if self._routes.quiet_until(room, now) is not None}
        due = [each for each in deferred if each.room not in quiet]
        silenced = self._visible(tx, due)
        rooms = ({silence.room} if silence.room else {each.room for each, _ in silenced}) - quiet
        for room in sorted(rooms):
            # A silence for every room may have silenced problems that this room may not see.
            rows = [(_name_of(alert, each), alert) for each, alert in silenced if each.room == room]
            shown = shown_silence(silence, Conversation(room), self._access)
            label = shown.label if shown is not None else ""
            still = same_silence(tx.silences.present(), silence, room, max(now, silence.ends))
            tx.outbox.add(silence_notice(room, silence, label, now, rows, still), now)
        if not ended:
            tx.silences.set_stage(silence.id, 1)
        elif quiet:  # rooms in quiet hours get their notice later, so the messages silenced in them are kept until then
            tx.deferred.drop([each.id for each in due])
        else:
            tx.silences.set_stage(silence.id, 2)
            tx.deferred.drop_silence(silence.id)
        return bool(rooms)

    def _notice_due(self, tx: Transaction, silence: Silence, now: float) -> float:
        """When the next notice about a silence can be sent to a room. No notice is sent in a room's quiet hours.

        The notice that a silence ends soon is dropped if the quiet hours last longer than the silence. If the silence
        is for every room, this notice goes only to the rooms that have no quiet hours at that moment.
        """
        at = next_change(silence)
        if at > now or (not silence.room and now < silence.ends):
            return at
        rooms = rooms_of(silence, () if silence.room else tx.deferred.of_silence(silence.id))
        due = min((self._routes.quiet_until(room, now) or now for room in rooms), default=now)
        return min(due, silence.ends) if now < silence.ends else due

    def _visible(self, tx: Transaction, silenced: Sequence[Deferred]) -> list[tuple[Deferred, Alert]]:
        """The silenced messages with their alerts, without those that their room may not see."""
        alerts = tx.inbox.get([each.alert_id for each in silenced])
        known = tx.issues.get_many(sorted({each.issue for each in silenced}))
        pairs = [(each, alerts[each.alert_id]) for each in silenced if each.alert_id in alerts]
        return [
            (each, alert) for each, alert in pairs if may_see_now(alert, known.get(each.issue), each.room, self._access)
        ]

    def _clean(self, now: float) -> None:
        if now - self._cleaned < _CLEANING:
            return
        with self._store.write() as tx:
            went = tx.forget_some(now)
        if not went:
            self._cleaned = now


def _is_catching_up(tx: Transaction, deferred: Sequence[Deferred], now: float) -> bool:
    """Whether more alerts from the time when the bot was away may still be found, or wait for their decision."""
    times = [each.at for each in deferred if each.at <= now]
    if not times or now - min(times) >= _LONGEST_CATCH_UP:
        return False
    return now - max(times) < CATCH_UP_SPAN or tx.inbox.has_waiting(max(times))


def _parts(due: list[_Due], known: Mapping[str, KnownIssue]) -> list[list[_Due]]:
    """Split what was found after the bot was away, oldest first: a few are sent one by one, more as one list."""
    by_age = sorted(due, key=lambda each: known[each.deferred.issue].last_seen if each.deferred.issue in known else 0.0)
    return [[each] for each in by_age] if len(due) <= MOST_SINGLE_AFTER_AWAY else [by_age]


def _each_once(texts: Sequence[str]) -> str:
    return " ".join(text for text in dict.fromkeys(texts) if text)


def _name_of(alert: Alert, deferred: Deferred) -> str:
    return alert.short_id or alert.title or deferred.issue
