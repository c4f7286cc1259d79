"""What the passing of time brings: windows that close, words held back, silences that end, old rows that go."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from errbot_sentry.alerting.decide.grouping import SILENT, WINDOW, tick
from errbot_sentry.alerting.decide.mentions import call_on_top, call_under
from errbot_sentry.alerting.decide.messages import count_word, deeds_word, first_word, held_word, silence_word
from errbot_sentry.alerting.decide.muting import (
    STORM_SPAN,
    STORM_WORDS,
    SilenceBook,
    SilenceIndex,
    notice_at,
    quiet_until,
)
from errbot_sentry.alerting.decide.route_table import RouteBook
from errbot_sentry.alerting.decide.routing import NOT_VISIBLE
from errbot_sentry.alerting.decide.visibility import ABOUT, label_for, may_hear_now
from errbot_sentry.alerting.notify.digest_reports import Digests
from errbot_sentry.alerting.notify.retention import forget_some
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.alerts import Alert
from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.errors import StoreError
from errbot_sentry.domain.issues import UNRESOLVED
from errbot_sentry.store.database import Store
from errbot_sentry.store.records import (
    HOLD_DEEDS,
    HOLD_WAIT,
    LOCK_DECIDE,
    Decision,
    Group,
    Held,
    KnownIssue,
    Message,
    Silence,
)

if TYPE_CHECKING:
    from errbot_sentry.store.transaction import Work

log = logging.getLogger(__name__)

_GROUPS_AT_ONCE = 50
_CLEANING = 60.0
BLIP = "blip"
_Told = tuple[Held, Alert, str]  # a word that was held back, its alert, the status of its issue by now


class Timers:
    """Looks at everything that is due."""

    def __init__(
        self,
        store: Store,
        book: RouteBook,
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
        with self._store.read() as work:
            reports = self._digests.prepare(work, now)
        with self._store.write() as work:
            work.alone(LOCK_DECIDE)
            spoke = [
                self._close_windows(work, now),
                self._tell_held(work, now),
                self._tell_silences(work, now),
                self._digests.tell(work, reports, now),
            ]
        if any(spoke):
            self._on_message()
        return 0.0

    def _next_due(self, now: float) -> float | None:
        with self._store.read() as work:
            times = [work.groups.next_due(), work.held.next_due(now), work.wishes.next_digest()]
            times += [_next_of(silence) for silence in work.wishes.silences()]
        known = [time for time in times if time is not None]
        return min(known, default=None)

    def _close_windows(self, work: Work, now: float) -> bool:
        groups = work.groups.due(now, _GROUPS_AT_ONCE)
        known = work.issues.get_many([group.issue for group in groups])
        lasts = work.inbox.get([group.alert_id for group in groups])
        silences = self._silences.index(work.wishes.silences() if groups else [])
        spoke = [
            _apart(
                work,
                partial(
                    self._close_window, work, group, known.get(group.issue), lasts.get(group.alert_id), silences, now
                ),
                partial(work.groups.set_aside, group.room, group.issue),
            )
            for group in groups
        ]
        return any(spoke)

    def _close_window(
        self,
        work: Work,
        group: Group,
        known: KnownIssue | None,
        last: Alert | None,
        silences: SilenceIndex,
        now: float,
    ) -> bool:
        allowed = may_hear_now(last, known, group.room, self._access)
        if not allowed or not self._book.of_room(group.room):  # nor a room that has unsubscribed
            work.groups.put([replace(group, due=None)])
            return False
        later = self._later(work, group, last, silences, now)
        if later is not None:
            work.groups.put([replace(group, due=later)])
            return False
        ticked = tick(group, known, now)
        speaks = ticked.voice != SILENT
        if speaks:
            template, values = count_word(group, known, now, reminds=ticked.name != WINDOW)
            message = Message(
                group.room, template, values, issue=group.issue, top=False, head=group.head, mode=group.mode
            )
            work.outbox.add(message, now)
        work.groups.put([ticked.group])
        return speaks

    def _later(self, work: Work, group: Group, last: Alert | None, silences: SilenceIndex, now: float) -> float | None:
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
        if work.outbox.count_recent(group.room, now - STORM_SPAN) >= STORM_WORDS:
            return now + STORM_SPAN
        return None

    def _tell_held(self, work: Work, now: float) -> bool:
        spoke = [
            _apart(work, partial(self._tell_room, work, room, why, now), partial(work.held.set_aside, room, why))
            for room, why in work.held.due(now)
        ]
        return any(spoke)

    def _tell_room(self, work: Work, room: str, why: str, now: float) -> bool:
        words = work.held.of_room(room, why)
        alerts = work.inbox.get([word.alert_id for word in words])
        known = work.issues.get_many([word.issue for word in words])
        told = []
        for word in words:
            alert = alerts.get(word.alert_id)
            status = known[word.issue].status if word.issue in known else UNRESOLVED
            if alert is None:
                continue
            if not may_hear_now(alert, known.get(word.issue), room, self._access):
                self._note(work, word, alert, NOT_VISIBLE, "", now)
            elif why == HOLD_WAIT and status != UNRESOLVED:
                self._note(work, word, alert, BLIP, "resolved within the wait", now)
            else:
                told.append((word, alert, status))
        if why == HOLD_DEEDS:
            self._tell_deeds(work, room, told, now)
        else:
            self._tell(work, room, why, told, self._mention(work, told, known), now)
        work.held.drop([word.id for word in words])
        return bool(told)

    def _note(self, work: Work, word: Held, alert: Alert, name: str, detail: str, now: float) -> None:
        """What became of a word that was held back and is not told."""
        noted = [Decision(word.alert_id, word.room, name, detail, alert.reason, word.issue)]
        work.inbox.decide(word.alert_id, alert, noted, now)

    def _mention(self, work: Work, told: list[_Told], known: Mapping[str, KnownIssue]) -> str:
        """Everybody whom the words that were held back call, each once."""
        texts = []
        for word, alert, _ in told:
            call = call_on_top(work, word.mention, known.get(word.issue), alert)
            texts.append(call.text)
            if call.owner:
                work.groups.called(word.room, word.issue, call.owner)
        return " ".join(text for text in dict.fromkeys(texts) if text)

    def _tell(self, work: Work, room: str, why: str, told: list[_Told], mention: str, now: float) -> None:
        if not told:
            return
        if len(told) == 1 and why != "quiet":
            word, alert, _ = told[0]
            template, values = first_word(alert)
            head = work.outbox.add(
                Message(room, template, values, mention=mention, issue=word.issue, alert_id=word.alert_id), now
            )
            work.groups.told_alone(room, word.issue, head)
            return
        template, values = held_word(why, [(alert, status) for _, alert, status in told])
        head = work.outbox.add(Message(room, template, values, mention=mention), now)
        work.groups.told_in_list(room, [word.issue for word, _, _ in told], head)

    def _tell_deeds(self, work: Work, room: str, told: list[_Told], now: float) -> None:
        """What became of many issues, or of one again and again, in one message; each new assignee is called once."""
        if not told:
            return
        issues = {word.issue for word, _, _ in told}
        groups = {issue: work.groups.of_issue(issue).get(room) for issue in issues}
        texts = []
        for word, alert, _ in told:
            group = groups[word.issue]
            call = call_under(work, group, alert) if group is not None else None
            if call is not None and call.owner and group is not None:
                texts.append(call.text)
                groups[word.issue] = replace(group, called=call.owner)
                work.groups.called(room, word.issue, call.owner)
        only = groups[issues.pop()] if len(issues) == 1 else None
        template, values = deeds_word([alert for _, alert, _ in told])
        mention = " ".join(text for text in dict.fromkeys(texts) if text)
        message = Message(room, template, values, mention=mention, top=False, mode="channel")
        if only is not None:
            message = replace(message, issue=only.issue, head=only.head, mode=only.mode)
        work.outbox.add(message, now)

    def _tell_silences(self, work: Work, now: float) -> bool:
        spoke = [
            _apart(
                work,
                partial(self._tell_silence, work, silence, now),
                partial(work.wishes.set_aside_silence, silence.id),
            )
            for silence in work.wishes.silences()
            if _next_of(silence) <= now
        ]
        return any(spoke)

    def _tell_silence(self, work: Work, silence: Silence, now: float) -> bool:
        over = now >= silence.ends
        held = self._still_named(work, work.held.of_silence(silence.id))
        rooms = {silence.room} if silence.room else {word.room for word, _ in held}
        for room in sorted(rooms):
            # A silence for every room has held back what not every room may hear of.
            names = [_name_of(alert, word) for word, alert in held if word.room == room]
            label = label_for(silence, room, self._access)
            template, values = silence_word(replace(silence, label=label), "over" if over else "ends", now, names)
            values[ABOUT] = sorted({alert.project for word, alert in held if word.room == room})
            work.outbox.add(Message(room, template, values, top=False, mode="channel"), now)
        work.wishes.set_stage(silence.id, 2 if over else 1)
        if over:
            work.held.drop_silence(silence.id)
        return bool(rooms)

    def _still_named(self, work: Work, words: Sequence[Held]) -> list[tuple[Held, Alert]]:
        """What a silence held back, with its alerts, as far as each room may hear of it."""
        alerts = work.inbox.get([word.alert_id for word in words])
        known = work.issues.get_many(sorted({word.issue for word in words}))
        pairs = [(word, alerts[word.alert_id]) for word in words if word.alert_id in alerts]
        return [
            (word, alert)
            for word, alert in pairs
            if may_hear_now(alert, known.get(word.issue), word.room, self._access)
        ]

    def _clean(self, now: float) -> None:
        if now - self._cleaned < _CLEANING:
            return
        with self._store.write() as work:
            went = forget_some(work, now)
        if not went:
            self._cleaned = now


def _apart(work: Work, act: Callable[[], bool], set_aside: Callable[[], None]) -> bool:
    """Do one thing that is due; where that fails it is set aside, and nothing else waits for it."""
    try:
        with work.part():
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


def _name_of(alert: Alert, word: Held) -> str:
    return alert.short_id or alert.title or word.issue
