"""What the store keeps, as plain frozen values. Times are seconds since 1970 (UTC), as floats.

This module imports nothing heavy: the flows use it without paying for the database library.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timezone
from typing import Any

from errbot_sentry.model import Alert


@dataclass(frozen=True)
class DeliveryKey:
    """What one delivery is recognised by. A key seen again after `span` seconds counts as new; None: never."""

    text: str
    span: float | None = None


@dataclass(frozen=True)
class WaitingAlert:
    """An alert that is stored but not decided; `tries` counts the look-ups that had to be put off."""

    id: int
    alert: Alert
    received: float
    tries: int = 0


@dataclass(frozen=True)
class Decision:
    """What became of an alert in one room ("" where it came to no room): a named reason and a word of detail."""

    alert_id: int
    room: str
    name: str
    detail: str = ""


@dataclass(frozen=True)
class DecidedAlert:
    """A line of `!sentry alerts`."""

    alert: Alert
    received: float
    room: str
    name: str
    detail: str
    at: float


@dataclass(frozen=True)
class KnownIssue:
    """What we last knew of an issue. `key` is the server's own id.

    `announced` is when a room first heard of it, None while none has. `changed` is when an alert last set its status,
    which an older page of the server must not undo; `touched` is when anything was last heard of it.
    """

    key: str
    status: str
    substatus: str = ""
    short_id: str = ""
    title: str = ""
    project: str = ""
    events: int | None = None
    last_seen: float = 0.0
    assignee: str = ""
    level: str = ""
    link: str = ""
    announced: float | None = None
    changed: float = 0.0
    touched: float = 0.0


@dataclass(frozen=True)
class Group:
    """One problem in one room: what the room was told about it, and when.

    `reason`, `source` and `at` are those of the last alert; `top` is when the last top-level message was decided;
    `status` is the issue's status as the room knows it.
    """

    room: str
    issue: str
    reason: str
    source: str
    at: float
    opened: float
    top: float
    status: str


@dataclass(frozen=True)
class PollMark:
    """How far the poller has read one scope (an organization or a project).

    `baseline` is the server's newest last-seen time at the first poll; `complete` says that the first poll saw every
    issue. `newest` is the newest last-seen time so far. `next_at` is when to ask again, `fails` and `error` what the
    last calls came to, `asked` when the server last answered.
    """

    scope: str
    baseline: float
    complete: bool
    newest: float
    next_at: float
    fails: int = 0
    error: str = ""
    asked: float = 0.0


# The states of an outbox row. UNSURE: handed to a chat network that confirms nothing, and not yet settled.
WAITING, SENDING, UNSURE, SENT, FAILED = "waiting", "sending", "unsure", "sent", "failed"


@dataclass(frozen=True)
class Message:
    """A message to be posted: a template and its values, so that it is rendered by whoever sends it.

    `mention` is trusted text in front of it (an operator's `@oncall`), where every value is hostile. `issue` is the
    known issue that it is about ("" for none), `alert_id` what it goes back to (0 for none).
    """

    room: str
    template: str
    values: dict[str, Any]
    mention: str = ""
    thread: str = ""
    issue: str = ""
    alert_id: int = 0


@dataclass(frozen=True)
class OutboxRow:
    """A message in the outbox."""

    id: int
    message: Message
    state: str
    tries: int
    next_try: float
    made: float
    error: str = ""


@dataclass(frozen=True)
class QueueState:
    """The outbox at a glance: rows still to be sent, when the oldest was made, and how many were set aside."""

    depth: int
    oldest: float | None
    failed: int


def alert_to_text(alert: Alert) -> str:
    """An alert as JSON; what has no value is left out."""
    kept = {name: value for name, value in asdict(alert).items() if value not in (None, "", ())}
    kept["at"] = alert.at.isoformat()
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))


def alert_from_text(text: str) -> Alert:
    """The alert back from `alert_to_text`, also from a version that knew other fields."""
    raw = json.loads(text)
    known = {field.name for field in fields(Alert)}
    values = {name: value for name, value in raw.items() if name in known}
    values["at"] = datetime.fromisoformat(values["at"]).astimezone(timezone.utc)
    values["tags"] = tuple((str(key), str(value)) for key, value in values.get("tags", ()))
    return Alert(**values)
