"""Handlers of `alerts --undelivered` and `resend`: messages that could not be delivered to a room."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from errbot_sentry.alerting.decide.visibility import may_be_sent
from errbot_sentry.commands.command_context import CommandContext, ParsedCommand
from errbot_sentry.commands.parser import one_number
from errbot_sentry.domain.alerts import MessageKind
from errbot_sentry.domain.conversation import View
from errbot_sentry.domain.errors import BadReference
from errbot_sentry.domain.text import utc_time, write_roughly
from errbot_sentry.reporting.redact.event_masking import masked_title
from errbot_sentry.store.database import KEEP_MESSAGES
from errbot_sentry.store.records import OutboxRow

if TYPE_CHECKING:
    from errbot_sentry.store.transaction import Transaction

ALL = "all"
_WHERE = "Run this in the room whose messages you want."


def list_undelivered(context: CommandContext, typed: ParsedCommand) -> View:
    """List the room's undelivered messages, oldest first."""
    room, limit = context.alert_room(typed.conversation, _WHERE), typed.options.limit
    now = context.clock.now().timestamp()
    with context.store.read() as tx:
        found = _visible(context, tx, room)
    rows = [
        {
            **_about(row),
            "number": row.id,
            "age": write_roughly(timedelta(seconds=int(max(0.0, now - row.made)))),
            "why": row.error,
        }
        for row in found[:limit]
    ]
    context.lists.keep_aside(typed.conversation, typed.person, "", max((row.id for row in found[:limit]), default=0))
    return View("sentry_undelivered", {"rows": rows, "left": len(found) - len(rows)})


def resend(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """Put undelivered messages back into the outbox, each at its old place among the room's messages."""
    room = context.alert_room(typed.conversation, _WHERE)
    if not typed.words:
        raise typed.mistake("Which one? Give its number, or `all`.")
    wanted = None if [word.casefold() for word in typed.words] == [ALL] else one_number(typed)
    now = context.clock.now().timestamp()
    with context.store.write() as tx:
        found = [row for row in _visible(context, tx, room) if wanted in (None, row.id)]
        alerts = tx.inbox.get([row.message.alert_id for row in found])
        gone = [
            row
            for row in found
            if row.made < now - KEEP_MESSAGES or (row.message.alert_id and row.message.alert_id not in alerts)
        ]
        again = [row for row in found if row not in gone]
        for row in again:
            late = {"late": utc_time(row.made)}
            tx.outbox.put_back(row.id, {**row.message.values, **late}, now)
        tx.outbox.drop([row.id for row in gone])
    if not found and wanted is not None:
        listed = f"`{context.prefix}sentry alerts --undelivered` lists them"
        raise BadReference(f"There's no undelivered message {wanted} here. They are kept for {_DAYS} days; {listed}.")
    if again:
        context.alert_flow().wake()
    yield View("sentry_resent", {"again": len(again), "gone": len(gone), "days": _DAYS})


_DAYS = round(KEEP_MESSAGES / 86_400)


def _visible(context: CommandContext, tx: Transaction, room: str) -> list[OutboxRow]:
    """The room's undelivered messages that the room may still see, oldest first."""
    rows = tx.outbox.undelivered(room)
    alerts = tx.inbox.get([row.message.alert_id for row in rows])
    known = tx.issues.get_many(sorted({row.message.issue for row in rows}))
    return [
        row
        for row in rows
        if may_be_sent(row.message, alerts.get(row.message.alert_id), known.get(row.message.issue), context.access)
    ]


def _about(row: OutboxRow) -> dict[str, Any]:
    """What a message is about, from the values of its template."""
    message, values = row.message, row.message.values
    word = values.get("word") if message.kind is MessageKind.NOTIFICATION else ""
    counts = message.count if message.count > 1 else 0
    kind = message.kind.value.replace("_", " ").capitalize()
    return {
        "what": str(word or kind) + (f" ({counts})" if counts else ""),
        "short_id": str(values.get("short_id") or ""),
        "title": masked_title(str(values.get("title") or values.get("activity") or "")),
    }
