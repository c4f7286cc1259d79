"""The records of the store, as plain frozen values. Times are seconds since 1970 (UTC), as floats.

This module does not import SQLAlchemy, so the flows can use it without that cost.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timezone
from enum import Enum
from typing import Any

from errbot_sentry.config.mention_rules import load_mention
from errbot_sentry.domain.alerts import Alert, MessageKind, Placement
from errbot_sentry.store.corrupt_rows import fits

_LONGEST_KEY = 200
_ALERT_FIELDS = frozenset(attribute.name for attribute in fields(Alert))


@dataclass(frozen=True)
class DeliveryKey:
    """Identifies a delivery, to recognise replays. Seen again after `span` seconds, it counts as new; None: never."""

    text: str
    span: float | None = None


@dataclass(frozen=True)
class Delivery:
    """Alerts that were received together, the keys that identify the delivery, and when it was received."""

    keys: tuple[DeliveryKey, ...]
    alerts: tuple[Alert, ...]
    now: float


def issue_key(alert: Alert) -> str:
    """The key that all alerts about one problem share."""
    return alert.issue_id or alert.short_id or f"{alert.reason}:{alert.title}"


def order_key(alert: Alert) -> str:
    """The same key, hashed if it is too long for an index."""
    key = issue_key(alert)
    return key if len(key) <= _LONGEST_KEY else hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


@dataclass(frozen=True)
class LinkedAccount:
    """A chat person, the mail address that they proved, and how to mention them in chat.

    `address` is where they get direct messages ("": nowhere). `teams` has the slugs of their teams on the server, as
    last read.
    """

    acl: str
    mail: str
    mention: str = ""
    address: str = ""
    teams: tuple[str, ...] = ()


@dataclass(frozen=True)
class RecentMessage:
    """What decisions need to know of a recent message; `count` is how many alerts a message that lists them has."""

    issue: str
    kind: MessageKind
    count: int = 1


@dataclass(frozen=True)
class WaitingAlert:
    """An alert that is stored but not decided; `tries` counts the look-ups that failed for now."""

    id: int
    alert: Alert
    received: float
    tries: int = 0


@dataclass(frozen=True)
class Decision:
    """What became of an alert in one room ("" if it reached no room): the decision's name and a detail."""

    alert_id: int
    room: str
    name: str
    detail: str = ""
    reason: str = ""
    issue: str = ""


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
class RoomSums:
    """A room's alerts in a span of time: how many, how many problems by reason, and when.

    `slices` divides the span into parts of SLICE seconds, oldest first: the middle of each, and how many alerts it has
    that were not merged. `cut` says that there were too many to count, and the oldest are left out.
    """

    alerts: int = 0
    problems: Mapping[str, int] = field(default_factory=dict)
    slices: tuple[tuple[float, int], ...] = ()
    cut: bool = False


SLICE = 300.0


@dataclass(frozen=True)
class KnownIssue:
    """The last known state of an issue. `key` is the server's own id.

    `notified_at` is when a room was first notified, None if none was. `changed` is when an alert last set the status,
    which an older answer to the poller must not undo. `touched` is when anything was last received about the issue.
    `facts` is what was read from the server to complete an alert, stored as an alert (`alert_to_text`). `lacking`
    counts the alerts that were decided without these facts because the server did not answer. `polled_events` and
    `polled_users` are the numbers that the poller last read.
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
    notified_at: float | None = None
    changed: float = 0.0
    touched: float = 0.0
    assignee_kind: str = ""
    assignee_mail: str = ""
    facts: str = ""
    lacking: int = 0
    polled_events: int | None = None
    polled_users: int | None = None


@dataclass(frozen=True)
class Group:
    """One problem in one room: what was sent to the room about it, and when.

    - `reason` and `way` (see `Alert.way`) are those of the last alert, and `at` is when it was decided. `level` is the
      last one that was sent. `status` is the issue's status after the last alert, whether or not the room got it.
    - `notified_at` is when the last notification was decided. `thread_root` is its id in the outbox, 0 while it is
      deferred.
    - `last_sent` is when anything was last sent. `counted` alerts were only counted since then, and `events` is the
      issue's number of events at that time.
    - `due` is when to look at the group again, None for never. `span` is the length of the present window; `window` and
      `repeat` are the route's.
    - `threads` is the route's choice of where updates go. `mention` is its rule of whom to mention (as
      `mention_rules.write_mention` writes it), and `mentioned` the owner who was mentioned last.
    - `alert_id` is the last alert that describes the problem. `returns` is how often the problem came back.
    """

    room: str
    issue: str
    reason: str
    way: str
    at: float
    notified_at: float
    status: str
    level: str = ""
    last_sent: float = 0.0
    counted: int = 0
    events: int | None = None
    due: float | None = None
    span: float = 0.0
    window: float = 0.0
    repeat: float = 0.0
    threads: str = "thread"
    mention: str = ""
    thread_root: int = 0
    alert_id: int = 0
    mentioned: str = ""
    returns: int = 0

    def check(self) -> None:
        """Raise ValueError if the stored rule of whom to mention cannot be read."""
        load_mention(self.mention)


class DeferReason(str, Enum):
    """Why a message is put off."""

    WAIT = "wait"  # the route's `wait`: all notifications of that time are sent in one list
    AWAY = "away"  # found after the bot was away; more than three are sent in one list
    STORM = "storm"  # too many notifications in the room in a minute
    UPDATES = "updates"  # too many updates in the room in a minute
    QUIET = "quiet"  # the room's quiet hours; sent at their end
    SILENCE = "silence"  # a silence matches; counted at its end


@dataclass(frozen=True)
class Deferred:
    """A message that is put off in a room, and why. `due` is when it is sent.

    `mention` is the route's rule (`mention_rules.write_mention`). Whom it mentions is determined when it is sent.
    """

    room: str
    reason: DeferReason
    alert_id: int
    issue: str
    due: float
    at: float
    mention: str = ""
    silence: int = 0
    id: int = 0

    def check(self) -> None:
        """Raise ValueError if the stored rule of whom to mention cannot be read."""
        load_mention(self.mention)


@dataclass(frozen=True)
class Silence:
    """A silence of one issue, or of all alerts that the matchers match. `room` is where it applies, "" for everywhere.

    `matchers` are written as people type them; `label` is how messages name the silence. `stage` says what was sent
    about it: 0 that it was made, 1 that it ends soon, 2 that it has ended.
    """

    room: str
    matchers: tuple[str, ...]
    issue: str
    label: str
    author: str
    comment: str
    made: float
    ends: float
    stage: int = 0
    id: int = 0


@dataclass(frozen=True)
class Subscription:
    """A route that somebody added in chat, for the room where they typed the command."""

    room: str
    matchers: tuple[str, ...]
    author: str
    made: float
    id: int = 0


@dataclass(frozen=True)
class DigestPlan:
    """When a room gets its digest: `schedule` as typed, `next_at` the next time, `since` the end of the last one."""

    room: str
    schedule: str
    next_at: float
    since: float


@dataclass(frozen=True)
class PollMark:
    """How far the poller has read one scope (an organization or a project).

    `baseline` is the server's newest last-seen time at the first poll. `complete` says that the first poll saw every
    issue. `newest` is the newest last-seen time so far. `next_at` is when to poll again. `fails` is how many polls have
    failed in a row, `error` is the last failure, and `answered_at` is when the server last answered.
    """

    scope: str
    baseline: float
    complete: bool
    newest: float
    next_at: float
    fails: int = 0
    error: str = ""
    answered_at: float = 0.0


# The states of an outbox row. UNSURE: given to a chat network that does not confirm messages, and not yet settled.
WAITING, SENDING, UNSURE, SENT, FAILED = "waiting", "sending", "unsure", "sent", "failed"


@dataclass(frozen=True)
class Message:
    """A message to be sent: its kind and the values of its template. It is rendered when it is sent.

    - `projects` are the projects of everything that the message lists. They decide who may see it; for a message about
      one issue, that issue decides. `count` is how many alerts it lists.
    - `mention` is trusted text in front of the message (an operator's `@oncall`). The template's values are untrusted.
    - `issue` is the issue that the message is about ("" for none); `alert_id` is the alert that caused it (0 for none).
    - A message whose `placement` is THREAD goes under the message `thread_root` if the network has threads. `threads`
      is the route's choice ("thread", "channel" or "both").
    - `mark` is written onto the thread root if the network can edit messages.
    """

    room: str
    kind: MessageKind
    values: dict[str, Any]
    placement: Placement = Placement.CHANNEL
    projects: tuple[str, ...] = ()
    count: int = 1
    mention: str = ""
    issue: str = ""
    alert_id: int = 0
    thread_root: int = 0
    threads: str = "thread"
    mark: str = ""


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
    sent_id: str = ""


@dataclass(frozen=True)
class QueueState:
    """A summary of the outbox: messages to be sent, when the oldest was made, and undeliverable ones, also lately."""

    depth: int
    oldest: float | None
    failed: int
    failed_lately: int


class FallbackState(str, Enum):
    """The state of a notification at the fallback."""

    UNWANTED = "unwanted"  # no entry of the setting wants it
    SENDING = "sending"  # a bot has claimed it until `at`; after that, the bot counts as dead
    AGAIN = "again"  # an address refused it: the next try is at `at`
    SENT = "sent"
    FAILED = "failed"  # no address accepted it
    NOTED = "noted"  # sent, and its room was informed


@dataclass(frozen=True)
class FallbackRow:
    """A notification at the fallback; `id` is its id in the outbox.

    `taken` has the keys of the addresses that accepted it, and `went` is when the first of them did. `since` is when
    the chat network last accepted a message for its room, or when the notification was made.
    """

    id: int
    state: str
    at: float
    since: float = 0.0
    tries: int = 0
    taken: str = ""
    went: float | None = None


def alert_to_text(alert: Alert) -> str:
    """An alert as JSON; fields without a value are left out."""
    present = {name: value for name, value in alert.__dict__.items() if value not in (None, "", ())}
    present["at"] = alert.at.isoformat()
    return json.dumps(present, ensure_ascii=False, separators=(",", ":"))


def alert_from_text(text: object) -> Alert | None:
    """The alert from the JSON of `alert_to_text`; None if it is corrupt. Fields of another version are ignored."""
    try:
        raw = json.loads(text)  # type: ignore[arg-type]  # a value of a wrong type raises TypeError
        values = {name: value for name, value in raw.items() if name in _ALERT_FIELDS}
        values["at"] = datetime.fromisoformat(values["at"]).astimezone(timezone.utc)
        values["tags"] = tuple((str(key), str(value)) for key, value in values.get("tags", ()))
        alert = Alert(**values)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None
    return alert if fits(alert) else None
