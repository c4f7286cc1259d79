"""A room's digest: how many problems were new, regressed or resolved, compared with the period before. Mostly pure.

Digests that people ask for are bounded: only one is made at a time, and a fresh one is shown again to the next person.
"""

from __future__ import annotations

import logging
import math
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, time, timedelta, timezone
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from errbot_sentry.alerting.decide.alert_wording import counted
from errbot_sentry.alerting.decide.decisions import DecisionName
from errbot_sentry.alerting.decide.messages import shorten
from errbot_sentry.alerting.decide.visibility import may_see_now
from errbot_sentry.config.routes import read_zone
from errbot_sentry.domain import charts
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.alerts import NEW, REGRESSED, SEEN_RESOLVED, MessageKind
from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.conversation import Conversation, Upload
from errbot_sentry.domain.errors import StoreError, UserError
from errbot_sentry.domain.issues import Counts
from errbot_sentry.domain.locks import Lock
from errbot_sentry.domain.text import sparkline
from errbot_sentry.domain.typed_text import echo
from errbot_sentry.store.records import DigestPlan, KnownIssue, Message, RoomSums

if TYPE_CHECKING:
    from errbot_sentry.store.transaction import Transaction

log = logging.getLogger(__name__)

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SCHEDULE = re.compile(r"(?:(daily)|weekly\s+([a-z]{3})[a-z]*)\s+(\d{1,2}):(\d{2})(?:\s+(\S+))?", re.IGNORECASE)
_SLICES = 24
_NOISIEST = 5
_COMPARED = 50  # groups of visible projects; the last alert of some may be about a hidden project
_MOST_SLICES = 48
_LONGEST_SCHEDULE = 100
_STEPS = (300, 900, 1800, 3600, 2 * 3600, 6 * 3600, 12 * 3600, 86_400)  # seconds
_LONGEST = 60 * 86_400.0
FRESH = 30.0  # seconds for which a room is shown the same digest
PAUSE = 5.0  # seconds between two digests that are made for the same person, in any rooms
_PATIENCE = 5.0  # seconds to wait while another digest is being made
_MOST_KEPT = 500


def next_time(schedule: str, now: float) -> float:
    """When a schedule such as `daily 09:00` or `weekly mon 09:00 Europe/Paris` is next due after `now`.

    The default time zone is UTC.

    Raises:
        ValueError: the schedule is not valid; the message is a sentence for people, with examples.
    """
    form = _SCHEDULE.fullmatch(schedule.strip()) if len(schedule) <= _LONGEST_SCHEDULE else None
    wanted = f"{echo(schedule)} isn't a valid schedule. Try daily 09:00 or weekly mon 09:00 Europe/Paris"
    if form is None or (form[2] and form[2].lower() not in DAYS):
        raise ValueError(wanted)
    zone = read_zone(form[5] or "UTC")
    try:
        at = time(int(form[3]), int(form[4]))
    except ValueError as error:
        raise ValueError(wanted) from error
    today = datetime.fromtimestamp(now, zone).date()
    days = (today + timedelta(days=ahead) for ahead in range(9))
    fitting = (day for day in days if not form[2] or day.weekday() == DAYS.index(form[2].lower()))
    times = (datetime.combine(day, at, zone).timestamp() for day in fitting)
    return next(moment for moment in times if moment > now)


def summary(sums: RoomSums, before: RoomSums, since: float, until: float) -> dict[str, Any]:
    """The numbers of a digest: how many problems were new and so on, with the difference from the period before."""
    slices = [0] * _SLICES
    for at, count in sums.slices:
        slices[max(0, min(_SLICES - 1, int((at - since) / max(1.0, until - since) * _SLICES)))] += count
    alerts = counted(sums.alerts, "alert")
    return {
        "facts": [_against(label, sums.problems.get(key, 0), before.problems.get(key, 0)) for key, label in _LABELS],
        "trend": sparkline(slices, _SLICES),
        "alerts": f"the last {alerts} of more" if sums.cut else alerts,
    }


_LABELS = ((NEW, "new"), (REGRESSED, "regressed"), (SEEN_RESOLVED, "resolved"))


def _against(label: str, now: int, then: int) -> str:
    difference = now - then
    return f"{now} {label}" + (f" ({difference:+d})" if difference else "")


def series(sums: RoomSums, before: RoomSums, since: float, until: float) -> dict[str, Any]:
    """Alerts per slice of time, oldest first, for this period and for the one before, which is as long.

    A slice has a round length, such as 5 minutes or 6 hours.
    """
    span = next((step for step in _STEPS if (until - since) / step <= _MOST_SLICES), _STEPS[-1])
    count = max(1, math.ceil((until - since) / span))
    start = until - count * span
    present, earlier = [0] * count, [0] * count
    for slices, into, begin in ((sums.slices, present, start), (before.slices, earlier, start - count * span)):
        for at, number in slices:
            if begin <= at <= begin + count * span:
                into[min(count - 1, int((at - begin) / span))] += number
    return {"start": start, "step": span, "counts": present, "before": earlier}


def chart_of(message: Message) -> Upload | None:
    """A digest's chart; None if the message is not a digest, if there were no alerts, or if charts cannot be drawn."""
    drawn = message.values.get("series") if message.kind is MessageKind.DIGEST else None
    if not isinstance(drawn, dict) or not any((*drawn["counts"], *drawn["before"])) or not charts.can_draw():
        return None
    schedule = str(message.values["schedule"])
    form = _SCHEDULE.fullmatch(schedule)
    zone = ZoneInfo(form[5]) if form is not None and form[5] else timezone.utc
    start = datetime.fromtimestamp(drawn["start"], timezone.utc)
    counts = Counts(start, timedelta(seconds=drawn["step"]), tuple(drawn["counts"]))
    title = f"{message.room}, {schedule}: {', '.join(message.values['facts'])}"
    make = partial(charts.draw, counts, title, noun="alerts", before=drawn["before"], zone=zone)
    return Upload("report.png", "image/png", make)


class Digests:
    """Makes the digests that are due."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def prepare(self, tx: Transaction, now: float) -> dict[DigestPlan, Message | None]:
        """The digests that are due. The message is None if the digest cannot be made.

        Call this in a reading transaction. In a writing one, other writers, such as webhooks, would have to wait.
        """
        return {plan: self._message_or_none(tx, plan, now) for plan in tx.digests.due(now)}

    def _message_or_none(self, tx: Transaction, plan: DigestPlan, now: float) -> Message | None:
        try:
            return self.message(tx, plan, now)
        except StoreError:
            raise
        except Exception:  # one room's digest that fails must not stop the digests of other rooms
            log.exception("the digest for %s could not be made", plan.room)
            return None

    def queue(self, tx: Transaction, digests: Mapping[DigestPlan, Message | None], now: float) -> bool:
        """Put those of the digests that are still due into the outbox. Returns whether any were due."""
        due = [plan for plan in tx.digests.due(now) if plan in digests]
        for plan in due:
            digest = digests[plan]
            try:
                following = next_time(plan.schedule, now)
            except ValueError:  # this version does not know the schedule, or this machine does not know its time zone
                digest = None
            if digest is None:
                tx.digests.put_off(plan.room, now)
                continue
            tx.outbox.add(digest, now)
            tx.digests.put(replace(plan, since=now, next_at=following))
        return bool(due)

    def message(self, tx: Transaction, plan: DigestPlan, now: float) -> Message:
        """A room's digest for the time since its last one."""
        plan = replace(plan, since=max(plan.since, now - _LONGEST))  # nothing older is kept
        length = max(60.0, now - plan.since)
        room, visible = Conversation(plan.room), None
        if not self._access.sees_everything(room):
            visible = partial(self._access.may_see, conversation=room)
        sums = tx.inbox.sums(plan.room, plan.since, now, DecisionName.MERGED.value, visible)
        before = tx.inbox.sums(plan.room, plan.since - length, plan.since, DecisionName.MERGED.value, visible)
        noisiest = self._noisiest(tx, plan)
        rows = [
            {
                "short_id": known.short_id,
                "title": shorten(known.title, 100),
                "events": counted(known.events, "event"),
            }
            for known in noisiest
        ]
        values = {
            **summary(sums, before, plan.since, now),
            "schedule": plan.schedule,
            "rows": rows,
            "series": series(sums, before, plan.since, now),
        }
        projects = tuple(sorted({each.project for each in noisiest}))
        return Message(plan.room, MessageKind.DIGEST, values, projects=projects)

    def _noisiest(self, tx: Transaction, plan: DigestPlan) -> list[KnownIssue]:
        """The problems with the most events. The room must be allowed to see both the project and the last alert."""
        visible = partial(self._access.may_see, conversation=Conversation(plan.room))
        groups = tx.groups.noisiest(plan.room, plan.since, _COMPARED, visible)
        known = tx.issues.get_many([group.issue for group in groups])
        alerts = tx.inbox.get([group.alert_id for group in groups])
        found = ((alerts.get(group.alert_id), known.get(group.issue)) for group in groups)
        shown = (each for last, each in found if each is not None and may_see_now(last, each, plan.room, self._access))
        noisy = (each for each in shown if each.events is None or each.events > 1)
        return list(islice(noisy, _NOISIEST))


class RequestedDigests:
    """Limits how much work `digest now` causes. Safe to use from any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._making = Lock()
        self._made: OrderedDict[str, tuple[float, Message]] = OrderedDict()  # by room
        self._asked: OrderedDict[str, float] = OrderedDict()  # by person

    def get(self, room: str, person: str, make: Callable[[], Message]) -> Message:
        """The room's digest, made now or at most FRESH seconds ago.

        Raises:
            UserError: another digest takes too long to make, or this person asked for one just now.
        """
        with self._making.within(_PATIENCE) as taken:
            if not taken:
                raise UserError("Other digests are being made. Try again in a minute.")
            return self._fresh(room) or self._new(room, person, make)

    def _fresh(self, room: str) -> Message | None:
        at, message = self._made.get(room, (0.0, None))
        return message if self._clock.monotonic() - at < FRESH else None

    def _new(self, room: str, person: str, make: Callable[[], Message]) -> Message:
        now = self._clock.monotonic()
        if now - self._asked.get(person, -PAUSE) < PAUSE:
            raise UserError(f"You just asked for a digest. Try again in {PAUSE:g} seconds.")
        self._asked[person] = now
        message = make()
        self._made[room] = (self._clock.monotonic(), message)
        for kept in (self._made, self._asked):
            while len(kept) > _MOST_KEPT:
                kept.popitem(last=False)
        return message
