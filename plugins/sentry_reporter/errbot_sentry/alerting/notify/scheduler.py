"""What the passing of time brings: windows that close, words held back, silences that end, old rows that go."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from errbot_sentry.alerting.decide.alert_context import QUIET, SILENCED
from errbot_sentry.alerting.decide.grouping import NOWHERE, WINDOW, tick
from errbot_sentry.alerting.decide.mentions import mention_in_channel, mention_in_thread
from errbot_sentry.alerting.decide.messages import (
    activity_list,
    batched_notification,
    count_update,
    notification,
    silence_message,
)
from errbot_sentry.alerting.decide.muting import (
    STORM_SPAN,
    STORM_WORDS,
    SilenceBook,
    SilenceIndex,
    notice_at,
    quiet_until,
)
from errbot_sentry.alerting.decide.route_table import RouteTable
from errbot_sentry.alerting.decide.routing import NOT_VISIBLE, UNROUTED, route_alert
from errbot_sentry.alerting.decide.visibility import ABOUT, label_for, may_see_now
from errbot_sentry.alerting.notify.digest_reports import Digests
from errbot_sentry.alerting.notify.retention import forget_some
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.alerts import Alert
from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.errors import StoreError
from errbot_sentry.domain.issues import UNRESOLVED
from errbot_sentry.store.database import Store
from errbot_sentry.store.records import (
    DEFER_QUIET,
    DEFER_SILENCE,
    DEFER_UPDATES,
    DEFER_WAIT,
    LOCK_DECIDE,
    Decision,
    Deferred,
    Group,
    KnownIssue,
    Message,
    Silence,
)

if TYPE_CHECKING:
    from errbot_sentry.store.transaction import Transaction

log = logging.getLogger(__name__)

_GROUPS_AT_ONCE = 50
_CLEANING = 60.0
BLIP = "blip"
_Told = tuple[Deferred, Alert, str]  # a word that was held back, its alert, the status of its issue by now


class Scheduler:
    """Looks at everything that is due."""

    def __init__(
        self,
        store: Store,
        book: RouteTable,
        digests: Digests,
        access: Access,
        clock: Clock,
        on_message: Callable[[], None],
    ) -> None:
        """`on_message` is called after messages were put into the outbox."""
        self._store = store
        self._book = book
        self._digests = digests
        self._access = access
        self._clock = clock
        self._on_message = on_message
        self._cleaned = 0.0
        self._silences = SilenceBook()

    def step(self) -> float | None:
        """Do what is due; the seconds until something is due again, None where nothing ever is."""
        now = self._clock.now().timestamp()
        self._clean(now)
        due = self._next_due(now)
        if due is None or due > now:
            return None if due is None else due - now
        with self._store.read() as tx:
            reports = self._digests.prepare(tx, now)
        with self._store.write() as tx:
            tx.alone(LOCK_DECIDE)
            spoke = [
                self._close_windows(tx, now),
                self._tell_held(tx, now),
                self._tell_silences(tx, now),
                self._digests.tell(tx, reports, now),
            ]
        if any(spoke):
            self._on_message()
        return 0.0

    def _next_due(self, now: float) -> float | None:
        with self._store.read() as tx:
            times = [tx.groups.next_due(), tx.deferred.next_due(now), tx.requests.next_digest()]
            times += [_next_of(silence) for silence in tx.requests.silences()]
        known = [time for time in times if time is not None]
        return min(known, default=None)

    def _close_windows(self, tx: Transaction, now: float) -> bool:
        groups = tx.groups.due(now, _GROUPS_AT_ONCE)
        known = tx.issues.get_many([group.issue for group in groups])
        lasts = tx.inbox.get([group.alert_id for group in groups])
        silences = self._silences.index(tx.requests.silences() if groups else [])
        spoke = [
            _apart(
                tx,
                partial(
                    self._close_window, tx, group, known.get(group.issue), lasts.get(group.alert_id), silences, now
                ),
                partial(tx.groups.set_aside, group.room, group.issue),
            )
            for group in groups
        ]
        return any(spoke)

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
        if not allowed or not self._book.of_room(group.room):  # nor a room that has unsubscribed
            tx.groups.put([replace(group, due=None)])
            return False
        later = self._later(tx, group, last, silences, now)
        if later is not None:
            tx.groups.put([replace(group, due=later)])
            return False
        ticked = tick(group, known, now)
        speaks = ticked.placement != NOWHERE
        if speaks:
            template, values = count_update(group, known, now, reminds=ticked.name != WINDOW)
            message = Message(
                group.room, template, values, issue=group.issue, top=False, head=group.head, mode=group.mode
            )
            tx.outbox.add(message, now)
        tx.groups.put([ticked.group])
        return speaks

    def _later(
        self, tx: Transaction, group: Group, last: Alert | None, silences: SilenceIndex, now: float
    ) -> float | None:
        """When to look at a group again whose room must not be bothered now."""
        if group.head == 0:  # its first word is held back still
            return now + max(group.span, STORM_SPAN)
        quiet = [quiet_until(route.quiet, now) for route in self._book.of_room(group.room)]
        ends = max((end for end in quiet if end is not None), default=None)
        if ends is not None:
            return ends + group.window
        silence = silences.of(last, group.room, now) if last is not None else None
        if silence is not None:
            return silence.ends + group.window
        if tx.outbox.count_recent(group.room, now - STORM_SPAN) >= STORM_WORDS:
            return now + STORM_SPAN
        return None

    def _tell_held(self, tx: Transaction, now: float) -> bool:
        spoke = [
            _apart(tx, partial(self._tell_room, tx, room, why, now), partial(tx.deferred.set_aside, room, why))
            for room, why in tx.deferred.due(now)
        ]
        return any(spoke)

    def _tell_room(self, tx: Transaction, room: str, why: str, now: float) -> bool:
        words = tx.deferred.of_room(room, why)
        alerts = tx.inbox.get([word.alert_id for word in words])
        known = tx.issues.get_many([word.issue for word in words])
        silences = self._silences.index(tx.requests.silences())
        told = []
        for word in words:
            alert = alerts.get(word.alert_id)
            status = known[word.issue].status if word.issue in known else UNRESOLVED
            if alert is None:
                continue
            if not may_see_now(alert, known.get(word.issue), room, self._access):
                self._note(tx, word, alert, NOT_VISIBLE, "", now)
            elif why == DEFER_WAIT and status != UNRESOLVED:
                self._note(tx, word, alert, BLIP, "resolved within the wait", now)
            elif not self._hold_on(tx, word, alert, silences, now):
                told.append((word, alert, status))
        if why == DEFER_UPDATES:
            self._tell_deeds(tx, room, told, now)
        else:
            self._tell(tx, room, why, told, self._mention(tx, told, known), now)
        tx.deferred.drop([word.id for word in words])
        return bool(told)

    def _hold_on(self, tx: Transaction, word: Deferred, alert: Alert, silences: SilenceIndex, now: float) -> bool:
        """Whether a word is not told now either: the room's last route has gone while it was held back, a silence has
        been made, or quiet hours have begun."""
        if not self._book.of_room(word.room):
            self._note(tx, word, alert, UNROUTED, "no route names the room any more", now)
            tx.groups.forget_untold(word.room, word.issue)
            return True
        silence = silences.of(alert, word.room, now)
        if silence is not None:
            self._note(tx, word, alert, SILENCED, f"silence {silence.id}", now)
            tx.deferred.add([replace(word, why=DEFER_SILENCE, due=silence.ends, silence=silence.id)])
            tx.groups.forget_untold(word.room, word.issue)  # what goes on afterwards is told as a first word
            return True
        quiet = self._quiet_until(alert, word.room, now)
        if quiet is not None:
            self._note(tx, word, alert, QUIET, "", now)
            if word.why != DEFER_UPDATES:  # in quiet hours, what people do is not kept to be told later
                tx.deferred.add([replace(word, why=DEFER_QUIET, due=quiet)])
            return True
        return False

    def _quiet_until(self, alert: Alert, room: str, now: float) -> float | None:
        """When the quiet hours end that hold for this alert in this room; None outside of them."""
        routed = route_alert(alert, self._book.settled, self._access, self._book.subscribed())
        route = next((target.route for target in routed.targets if target.room == room), None)
        routes = self._book.of_room(room) if route is None else [route]
        return quiet_until(next((each.quiet for each in routes if each.quiet is not None), None), now)

    def _note(self, tx: Transaction, word: Deferred, alert: Alert, name: str, detail: str, now: float) -> None:
        """What became of a word that was held back and is not told."""
        noted = [Decision(word.alert_id, word.room, name, detail, alert.reason, word.issue)]
        tx.inbox.decide(word.alert_id, alert, noted, now)

    def _mention(self, tx: Transaction, told: list[_Told], known: Mapping[str, KnownIssue]) -> str:
        """Everybody whom the words that were held back call, each once."""
        texts = []
        for word, alert, _ in told:
            call = mention_in_channel(tx, word.mention, known.get(word.issue), alert)
            texts.append(call.text)
            if call.owner:
                tx.groups.called(word.room, word.issue, call.owner)
        return " ".join(text for text in dict.fromkeys(texts) if text)

    def _tell(self, tx: Transaction, room: str, why: str, told: list[_Told], mention: str, now: float) -> None:
        if not told:
            return
        if len(told) == 1 and why != "quiet":
            word, alert, _ = told[0]
            template, values = notification(alert)
            head = tx.outbox.add(
                Message(room, template, values, mention=mention, issue=word.issue, alert_id=word.alert_id), now
            )
            tx.groups.sent_alone(room, word.issue, head)
            return
        template, values = batched_notification(why, [(alert, status) for _, alert, status in told])
        head = tx.outbox.add(Message(room, template, values, mention=mention), now)
        tx.groups.sent_in_list(room, [word.issue for word, _, _ in told], head)

    def _tell_deeds(self, tx: Transaction, room: str, told: list[_Told], now: float) -> None:
        """What became of many issues, or of one again and again, in one message; each new assignee is called once."""
        if not told:
            return
        issues = {word.issue for word, _, _ in told}
        groups = {issue: tx.groups.of_issue(issue).get(room) for issue in issues}
        texts = []
        for word, alert, _ in told:
            group = groups[word.issue]
            call = mention_in_thread(tx, group, alert) if group is not None else None
            if call is not None and call.owner and group is not None:
                texts.append(call.text)
                groups[word.issue] = replace(group, called=call.owner)
                tx.groups.called(room, word.issue, call.owner)
        only = groups[issues.pop()] if len(issues) == 1 else None
        template, values = activity_list([alert for _, alert, _ in told])
        mention = " ".join(text for text in dict.fromkeys(texts) if text)
        message = Message(room, template, values, mention=mention, top=False, mode="channel")
        if only is not None:
            message = replace(message, issue=only.issue, head=only.head, mode=only.mode)
        tx.outbox.add(message, now)

    def _tell_silences(self, tx: Transaction, now: float) -> bool:
        spoke = [
            _apart(
                tx,
                partial(self._tell_silence, tx, silence, now),
                partial(tx.requests.set_aside_silence, silence.id),
            )
            for silence in tx.requests.silences()
            if _next_of(silence) <= now
        ]
        return any(spoke)

    def _tell_silence(self, tx: Transaction, silence: Silence, now: float) -> bool:
        over = now >= silence.ends
        deferred = self._still_named(tx, tx.deferred.of_silence(silence.id))
        rooms = {silence.room} if silence.room else {word.room for word, _ in deferred}
        for room in sorted(rooms):
            # A silence for every room has held back what not every room may hear of.
            names = [_name_of(alert, word) for word, alert in deferred if word.room == room]
            label = label_for(silence, room, self._access)
            template, values = silence_message(replace(silence, label=label), "over" if over else "ends", now, names)
            values[ABOUT] = sorted({alert.project for word, alert in deferred if word.room == room})
            tx.outbox.add(Message(room, template, values, top=False, mode="channel"), now)
        tx.requests.set_stage(silence.id, 2 if over else 1)
        if over:
            tx.deferred.drop_silence(silence.id)
        return bool(rooms)

    def _still_named(self, tx: Transaction, words: Sequence[Deferred]) -> list[tuple[Deferred, Alert]]:
        """What a silence held back, with its alerts, as far as each room may hear of it."""
        alerts = tx.inbox.get([word.alert_id for word in words])
        known = tx.issues.get_many(sorted({word.issue for word in words}))
        pairs = [(word, alerts[word.alert_id]) for word in words if word.alert_id in alerts]
        return [
            (word, alert) for word, alert in pairs if may_see_now(alert, known.get(word.issue), word.room, self._access)
        ]

    def _clean(self, now: float) -> None:
        if now - self._cleaned < _CLEANING:
            return
        with self._store.write() as tx:
            went = forget_some(tx, now)
        if not went:
            self._cleaned = now


def _apart(tx: Transaction, act: Callable[[], bool], set_aside: Callable[[], None]) -> bool:
    """Do one thing that is due; where that fails it is set aside, and nothing else waits for it."""
    try:
        with tx.part():
            return act()
    except StoreError:
        raise
    except Exception:
        log.exception("something that was due could not be told and is set aside")
        set_aside()
        return False


def _next_of(silence: Silence) -> float:
    notice = notice_at(silence) if silence.stage == 0 else None
    return silence.ends if notice is None else min(notice, silence.ends)


def _name_of(alert: Alert, word: Deferred) -> str:
    return alert.short_id or alert.title or word.issue
