"""A room's digest: what was new, came back, went on and was resolved, against the time before. Mostly pure.

Digests that people ask for are bounded: one is made at a time, and not again for everybody who asks.
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
_COMPARED = 50  # of the visible projects; some of these may be about hidden ones too
_MOST_SLICES = 48
_LONGEST_SCHEDULE = 100
_STEPS = (300, 900, 1800, 3600, 2 * 3600, 6 * 3600, 12 * 3600, 86_400)  # seconds
_LONGEST = 60 * 86_400.0
FRESH = 30.0  # seconds for which a room is shown the same digest
PAUSE = 5.0  # seconds between two that are made for one person, in whatever rooms
_PATIENCE = 5.0  # seconds to wait for the one that is being made
_MOST_KEPT = 500


def next_time(schedule: str, now: float) -> float:
    """The first time of a schedule after `now`: `daily 09:00`, `weekly mon 09:00 Europe/Paris` (without a zone: UTC).

    Raises:
        ValueError: with a sentence that says what is wanted.
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
    """The numbers of a digest: problems by what happened to them, with the difference to the time before."""
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
    """Alerts per slice, oldest first, and those of as much time before; slices are as long as people count time."""
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
    """The chart that goes with a digest; None for other messages, for silence, and where nothing can draw."""
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
        """The digests that are due, None for one that cannot be made.

        For a reading transaction: whoever waits to write, such as the senders of webhooks, must not wait for it.
        """
        return {plan: self._message_or_none(tx, plan, now) for plan in tx.digests.due(now)}

    def _message_or_none(self, tx: Transaction, plan: DigestPlan, now: float) -> Message | None:
        try:
            return self.message(tx, plan, now)
        except StoreError:
            raise
        except Exception:  # a digest that cannot be made must not stop the other rooms'
            log.exception("the digest for %s could not be made", plan.room)
            return None

    def queue(self, tx: Transaction, digests: Mapping[DigestPlan, Message | None], now: float) -> bool:
        """Put these digests into the outbox, as far as they are still due; whether there were any."""
        due = [plan for plan in tx.digests.due(now) if plan in digests]
        for plan in due:
            digest = digests[plan]
            try:
                following = next_time(plan.schedule, now)
            except ValueError:  # no schedule that this version knows, or a time zone that this machine does not
                digest = None
            if digest is None:
                tx.digests.put_off(plan.room, now)
                continue
            tx.outbox.add(digest, now)
            tx.digests.put(replace(plan, since=now, next_at=following))
        return bool(due)

    def message(self, tx: Transaction, plan: DigestPlan, now: float) -> Message:
        """The digest of a room since its last one."""
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
        """The noisiest problems that the room may see, by project and by the last alert: it may be about several."""
        visible = partial(self._access.may_see, conversation=Conversation(plan.room))
        groups = tx.groups.noisiest(plan.room, plan.since, _COMPARED, visible)
        known = tx.issues.get_many([group.issue for group in groups])
        alerts = tx.inbox.get([group.alert_id for group in groups])
        found = ((alerts.get(group.alert_id), known.get(group.issue)) for group in groups)
        shown = (each for last, each in found if each is not None and may_see_now(last, each, plan.room, self._access))
        noisy = (each for each in shown if each.events is None or each.events > 1)
        return list(islice(noisy, _NOISIEST))


class RequestedDigests:
    """Bounds what `digest now` costs. Safe to use from any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._making = Lock()
        self._made: OrderedDict[str, tuple[float, Message]] = OrderedDict()  # by room
        self._asked: OrderedDict[str, float] = OrderedDict()  # by person

    def get(self, room: str, person: str, make: Callable[[], Message]) -> Message:
        """The room's digest, made now or some seconds ago.

        Raises:
            UserError: others are being made, or this person has just had one.
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
