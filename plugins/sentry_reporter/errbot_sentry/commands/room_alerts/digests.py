"""Handler of `digest`: a summary of a room's alerts, on a schedule or right now."""

from __future__ import annotations

from calendar import day_name
from collections.abc import Iterator

from errbot_sentry.alerting.decide.messages import TEMPLATES, shown_values
from errbot_sentry.alerting.notify.digest_reports import DAYS, Digests, chart_of, next_time
from errbot_sentry.commands.command_context import CommandContext, ParsedCommand
from errbot_sentry.domain.conversation import View
from errbot_sentry.domain.text import utc_time
from errbot_sentry.reporting.redact.event_masking import masked_title
from errbot_sentry.store.records import DigestPlan, Message

_DAY = 86_400.0


def digest(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """Show, set or remove the room's schedule, or show a digest of its alerts now."""
    room = context.alert_room(typed.conversation, "Digests are per room; run this there.")
    now = context.clock.now().timestamp()
    schedule = " ".join(typed.words)
    if schedule == "now":
        message = context.requested_digests.get(room, typed.person.acl, lambda: _digest_of(context, room, now))
        yield View(
            TEMPLATES[message.kind],
            {**shown_values(message.values, masked_title), "uploaded": False},
            chart_of(message),
        )
        return
    with context.store.write() as tx:
        plan = tx.digests.get(room)
        if schedule == "off":
            tx.digests.remove(room)
            plan = None
        elif schedule:
            try:
                plan = DigestPlan(room, schedule, next_time(schedule, now), now)
            except ValueError as error:
                raise typed.mistake(f"{error}.") from error
            tx.digests.put(plan)
    context.alert_flow().wake()
    planned, following = (_schedule_words(plan.schedule), utc_time(plan.next_at)) if plan else ("", "")
    yield View("sentry_digest_plan", {"schedule": planned, "next": following})


def _schedule_words(schedule: str) -> str:
    """`Mondays 09:00 Europe/Paris` for `weekly mon 09:00 Europe/Paris`; a daily schedule stays as it is."""
    kind, day, *rest = schedule.split()
    if kind.lower() != "weekly":
        return schedule
    return " ".join((f"{day_name[DAYS.index(day[:3].lower())]}s", *rest))


def _digest_of(context: CommandContext, room: str, now: float) -> Message:
    """The room's digest of the time since the last one, but of a day at least: nobody who asks just after a digest, or
    after scheduling one, should read that nothing has happened."""
    with context.store.read() as tx:
        plan = tx.digests.get(room)
        is_long = plan is not None and plan.since <= now - _DAY
        recent = plan if plan is not None and is_long else DigestPlan(room, "last 24 hours", now, now - _DAY)
        return Digests(context.access).message(tx, recent, now)
