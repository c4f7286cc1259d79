"""Decides which notifications go to the fallback, and words them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from errbot_sentry.config.fallback_entries import FallbackEntry
from errbot_sentry.config.matchers import all_match
from errbot_sentry.domain.alerts import Alert
from errbot_sentry.domain.text import one_line
from errbot_sentry.store.records import FAILED, OutboxRow

MOST_TRIES = 6
MOST_ALONE = 3  # up to this many notifications that are due together are sent one by one; more are sent as one list
MOST_LISTED = 20
_TOO_OLD = 86_400.0  # seconds; a notification that was set aside earlier is not news, if the setting is new
_LONGEST_TITLE = 120


class FallbackDecision(Enum):
    """What happens to a notification that the chat network has not accepted, and why."""

    DUE = "The chat has taken nothing for the room for as long as the entry says."
    NOT_YET = "The chat has still some time."
    NO_ENTRY = "No entry of SENTRY_FALLBACK matches it."
    NOT_VISIBLE = "Its project is hidden by SENTRY_PROJECTS, its room may not see it any more, or it is for one person."
    TOO_OLD = "It was set aside more than a day ago."


@dataclass(frozen=True)
class StuckNotification:
    """A notification that the chat network has not accepted, with its alerts (for a list: those still in the store).

    `last_taken` is when the network last accepted any message for the room (0: never). `allowed` is whether the
    fallback may send the notification.
    """

    row: OutboxRow
    alerts: Sequence[Alert]
    last_taken: float
    allowed: bool


@dataclass(frozen=True)
class FallbackChoice:
    """The decision, the index of the entry, since when the chat has been away, and when the notification is due."""

    decision: FallbackDecision
    entry: int = 0
    since: float = 0.0
    due: float = 0.0


def decide_fallback(stuck: StuckNotification, entries: Sequence[FallbackEntry], now: float) -> FallbackChoice:
    """Decide by the first entry that matches any of the notification's alerts, and by that entry's waiting time."""
    if not stuck.allowed:
        return FallbackChoice(FallbackDecision.NOT_VISIBLE)
    number = next((number for number, entry in enumerate(entries) if _matches(entry, stuck.alerts)), None)
    if number is None:
        return FallbackChoice(FallbackDecision.NO_ENTRY)
    row = stuck.row
    is_set_aside = row.state == FAILED
    # A room that accepts messages is not away, even if many of its messages still wait.
    since = row.made if is_set_aside else max(row.made, stuck.last_taken)
    due = since + entries[number].after.total_seconds()
    if is_set_aside and now - max(due, row.next_try) > _TOO_OLD:
        return FallbackChoice(FallbackDecision.TOO_OLD)
    return FallbackChoice(FallbackDecision.DUE if due <= now else FallbackDecision.NOT_YET, number, since, due)


def _matches(entry: FallbackEntry, alerts: Sequence[Alert]) -> bool:
    return not entry.matchers or any(all_match(entry.matchers, alert) for alert in alerts)


def title_and_body(texts: Sequence[str], sentence: str) -> tuple[str, str]:
    """The title and the body of one message for these notifications, given as plain texts. The title is one line."""
    if len(texts) == 1:
        title = one_line(texts[0].partition("\n")[0].partition(" · ")[0])
        return (
            title if len(title) <= _LONGEST_TITLE else f"{title[: _LONGEST_TITLE - 1]}…"
        ), f"{texts[0]}\n\n{sentence}"
    more = [f"… and {len(texts) - MOST_LISTED} more"] if len(texts) > MOST_LISTED else []
    return f"{len(texts)} notifications while chat is away", "\n\n".join([*texts[:MOST_LISTED], *more, sentence])
