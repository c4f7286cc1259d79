"""What the store contains, as plain frozen values. Times are seconds since 1970 (UTC), as floats.

This module imports nothing heavy: the flows use it without paying for the database library.
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
_ALERT_FIELDS = frozenset(each.name for each in fields(Alert))


@dataclass(frozen=True)
class DeliveryKey:
    """What one delivery is recognised by. A key seen again after `span` seconds counts as new; None: never."""

    text: str
    span: float | None = None


@dataclass(frozen=True)
class Delivery:
    """Alerts that came together, what their delivery is recognised by, and when they came."""

    keys: tuple[DeliveryKey, ...]
    alerts: tuple[Alert, ...]
    now: float


def issue_key(alert: Alert) -> str:
    """What all alerts about one problem have in common."""
    return alert.issue_id or alert.short_id or f"{alert.reason}:{alert.title}"


def order_key(alert: Alert) -> str:
    """The same, short enough for every database's index."""
    key = issue_key(alert)
    return key if len(key) <= _LONGEST_KEY else hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


# With these numbers a bot is alone (`Work.alone`): who decides, and who takes deliveries in. Both: in this order.
LOCK_DECIDE = 73_011_902
LOCK_TAKE_IN = 73_011_903
LOCK_FALLBACK = 73_011_904  # who sends notifications to the fallback; never together with the others


@dataclass(frozen=True)
class LinkedAccount:
    """A chat person, the mail address that they proved, and how chat mentions them.

    `address` is where direct messages reach them ("": nowhere), `teams` the slugs of their teams on the server, as
    they were last read.
    """

    acl: str
    mail: str
    mention: str = ""
    address: str = ""
    teams: tuple[str, ...] = ()


@dataclass(frozen=True)
class RecentMessage:
    """A message of the last minute, as far as it matters to the next; `count` is how many a list stands for."""

    issue: str
    kind: MessageKind
    count: int = 1


@dataclass(frozen=True)
class WaitingAlert:
    """An alert that is stored but not decided; `tries` counts the look-ups that had to be put off."""

    id: int
    alert: Alert
    received: float
    tries: int = 0


@dataclass(frozen=True)
class Decision:
    """What became of an alert in one room ("" where it came to no room): a named reason and a detail."""

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
    """What became of a room's alerts in a span of time: how many, how many problems by reason, and when.

    `slices` are (middle, how many that were not merged) of spans of SLICE seconds, oldest first. `cut` says that there
    were more than are counted: the oldest are left out.
    """

    alerts: int = 0
    problems: Mapping[str, int] = field(default_factory=dict)
    slices: tuple[tuple[float, int], ...] = ()
    cut: bool = False


SLICE = 300.0


@dataclass(frozen=True)
class KnownIssue:
    """What we last knew of an issue. `key` is the server's own id.

    `notified_at` is when a room was first notified, None while none was. `changed` is when an alert last set its
    status, which an older page of the server must not undo; `touched` is when anything was last received about it.
    `facts` is what else the server was asked for, as an alert (`alert_to_text`) of that time. `lacking` counts how
    often an alert about it was decided without such facts, since the server did not answer. `polled_events` and
    `polled_users` are what the poller last saw.
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

    `reason`, `source`, `level` and `at` are those of the last alert. `status` is the issue's status as the room knows
    it. `notified_at` is when the last notification was decided, and `thread_root` its number in the outbox (0 while it
    is deferred). `last_sent` is when anything was last sent. `counted` alerts were only counted since then, and
    `events` is the issue's count at that time. `due` is when to look again, None for never. `span` is the length of
    the present window; `window` and `repeat` are the route's. `threads` is the route's choice of
    where updates go. `mention` is the route's rule of whom to mention (as `mention_rules.write_mention` writes it),
    `mentioned` the owner who was mentioned
    last. `alert_id` is the last alert with a description of the problem, `returns` how often the problem came back.
    """

    room: str
    issue: str
    reason: str
    source: str
    at: float
    opened: float
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
        """ValueError where the rule of whom to mention is none."""
        load_mention(self.mention)


class DeferReason(str, Enum):
    """Why a message is put off."""

    WAIT = "wait"  # the route's `wait`: what comes meanwhile is sent in one list
    AWAY = "away"  # found after the bot was away: sent together
    STORM = "storm"  # too many notifications in the room in a minute
    UPDATES = "updates"  # too many updates in the room in a minute
    QUIET = "quiet"  # the room's quiet hours; sent at their end
    SILENCE = "silence"  # a silence matches; counted at its end


@dataclass(frozen=True)
class Deferred:
    """A message that is put off in a room, and why. `due` is when it is sent.

    `mention` is the route's rule (`mention_rules.write_mention`): whom it mentions is found out when it is sent.
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
        """ValueError where the rule of whom to mention is none."""
        load_mention(self.mention)


@dataclass(frozen=True)
class Silence:
    """A silence. `room` is where it applies, "" for everywhere; it is about one issue, or about what matchers match.

    `matchers` are texts; `label` is how it reads. `stage` is what was sent about it: 0 that it was made, 1 that it ends
    soon, 2 that it is over.
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
    """A route that was made in chat, for the room where it was typed."""

    room: str
    matchers: tuple[str, ...]
    author: str
    made: float
    id: int = 0


@dataclass(frozen=True)
class DigestPlan:
    """When a room gets its report: `schedule` as typed, `next_at` the next time, `since` the end of the last one."""

    room: str
    schedule: str
    next_at: float
    since: float


@dataclass(frozen=True)
class PollMark:
    """How far the poller has read one scope (an organization or a project).

    `baseline` is the server's newest last-seen time at the first poll; `complete` says that the first poll saw every
    issue. `newest` is the newest last-seen time so far. `next_at` is when to ask again, `fails` and `error` what the
    last calls came to, `answered_at` when the server last answered.
    """

    scope: str
    baseline: float
    complete: bool
    newest: float
    next_at: float
    fails: int = 0
    error: str = ""
    answered_at: float = 0.0


# The states of an outbox row. UNSURE: handed to a chat network that confirms nothing, and not yet settled.
WAITING, SENDING, UNSURE, SENT, FAILED = "waiting", "sending", "unsure", "sent", "failed"


@dataclass(frozen=True)
class Message:
    """A message to be posted: its kind and the values of its template, so that it is rendered by whoever sends it.

    `projects` are those of all that it lists, for rights; a message about one issue is judged by its issue. `count` is
    how many alerts a list stands for. `mention` is trusted text in front of it (an operator's `@oncall`), where every
    value is hostile. `issue` is the known issue that it is about ("" for none), `alert_id` what it goes back to (0 for
    none). A message whose `placement` is THREAD goes under the message `thread_root` where there are threads; `threads`
    is the route's choice ("thread", "channel" or "both"). `mark` is written onto the thread root where the network can
    edit.
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
    """The outbox at a glance: rows still to be sent, when the oldest was made, how many were set aside, and lately."""

    depth: int
    oldest: float | None
    failed: int
    failed_lately: int


class FallbackState(str, Enum):
    """What becomes of a notification at the fallback."""

    UNWANTED = "unwanted"  # no entry asks for it
    SENDING = "sending"  # until `at`; after that the bot that claimed it is gone
    AGAIN = "again"  # some address refused it: tried again at `at`
    SENT = "sent"
    FAILED = "failed"  # no address took it
    NOTED = "noted"  # sent, and its room knows


@dataclass(frozen=True)
class FallbackRow:
    """A notification at the fallback; `id` is its number in the outbox.

    `taken` names the addresses that took it, by their keys; `went` is when the first one did. `since` is when the chat
    last took anything for its room, or when it was made.
    """

    id: int
    state: str
    at: float
    since: float = 0.0
    tries: int = 0
    taken: str = ""
    went: float | None = None


def alert_to_text(alert: Alert) -> str:
    """An alert as JSON; what has no value is left out."""
    present = {name: value for name, value in alert.__dict__.items() if value not in (None, "", ())}
    present["at"] = alert.at.isoformat()
    return json.dumps(present, ensure_ascii=False, separators=(",", ":"))


def alert_from_text(text: object) -> Alert | None:
    """The alert back from `alert_to_text`, also from a version that knew other fields; None if it is corrupt."""
    try:
        raw = json.loads(text)  # type: ignore[arg-type]  # any type: TypeError says so
        values = {name: value for name, value in raw.items() if name in _ALERT_FIELDS}
        values["at"] = datetime.fromisoformat(values["at"]).astimezone(timezone.utc)
        values["tags"] = tuple((str(key), str(value)) for key, value in values.get("tags", ()))
        alert = Alert(**values)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None
    return alert if fits(alert) else None
