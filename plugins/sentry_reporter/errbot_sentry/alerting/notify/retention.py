"""How long each kind of data is kept. Old rows are deleted in small steps, so that nobody waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from errbot_sentry.store.transaction import Transaction

_DAY = 86_400.0
KEEP_ALERTS = 30 * _DAY  # alerts with their decisions, and the keys by which repeated deliveries are recognised
KEEP_MESSAGES = 30 * _DAY  # delivered and set-aside messages, and with them which thread is about which issue
KEEP_GROUPS = 90 * _DAY  # what was sent to a room about a problem, since its last alert
KEEP_ISSUES = 180 * _DAY  # known issues, since the last alert or poll about them
STEP = 500


def forget_some(tx: Transaction, now: float) -> bool:
    """Drop some rows that are older than their time; whether there may be more to drop."""
    went = (
        tx.inbox.forget(now - KEEP_ALERTS, STEP),
        tx.outbox.forget(now - KEEP_MESSAGES, STEP),
        tx.groups.forget(now - KEEP_GROUPS, STEP),
        tx.issues.forget(now - KEEP_ISSUES, STEP),
        tx.silences.forget(now - KEEP_ALERTS, STEP),
    )
    tx.fallbacks.forget()
    tx.edits.forget()
    return any(count >= STEP for count in went)
