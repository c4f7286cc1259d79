"""Alerts: what a server, or the poller, says about a problem."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

# The reasons for which a server, or the poller, says something about an issue.
NEW, REGRESSED, ESCALATING, UNMUTED = "new", "regressed", "escalating", "unmuted"
RULE, METRIC, TEST = "rule", "metric", "test"
SEEN_RESOLVED, SEEN_ARCHIVED, ASSIGNED, COMMENTED = "resolved", "archived", "assigned", "comment"
REOPENED, SEEN_EVENT = "reopened", "event"
PULL_REQUEST, SEER, STILL_OPEN = "pull_request", "seer", "still_open"
# The poller's own: the issue now has as many events or users as some route asks for. It is wanted where NEW is.
REACHED = "amount"
CANARY_TITLE = "A test by SentryReporter"  # of the bot's own test event, `SENTRY_CANARY`
_BUGSINKS_PREFIX = "Log Message: "  # `get_type_and_value_for_data` in bugsink issues/utils.py
ALERT_REASONS = (
    NEW,
    REGRESSED,
    ESCALATING,
    UNMUTED,
    RULE,
    METRIC,
    TEST,
    SEEN_RESOLVED,
    SEEN_ARCHIVED,
    ASSIGNED,
    COMMENTED,
    REOPENED,
    SEEN_EVENT,
    PULL_REQUEST,
    SEER,
    STILL_OPEN,
)

# What people, Sentry's agent or a reminder do about an issue; the other reasons are what the issue does by itself.
ACTIVITIES = (SEEN_RESOLVED, SEEN_ARCHIVED, ASSIGNED, COMMENTED, REOPENED, PULL_REQUEST, SEER, STILL_OPEN)

# Alerts that read differently from those about errors.
FEEDBACK, UPTIME = "feedback", "uptime"


class Placement(Enum):
    """Where a message goes: a notification into the channel, an update into the thread under it, or nowhere."""

    CHANNEL = "channel"
    THREAD = "thread"
    NONE = "none"


class MessageKind(Enum):
    """What a message is. Its template is named after it (`errbot_sentry.alerting.decide.messages.TEMPLATES`)."""

    NOTIFICATION = "notification"  # about one problem
    STORM_LIST = "storm_list"  # of deferred notifications, as are the next two
    QUIET_LIST = "quiet_list"
    WAIT_LIST = "wait_list"
    AWAY_LIST = "away_list"  # of what happened while the bot was away: no sign of a storm now
    UPDATE = "update"  # about one activity, or one flap
    UPDATE_LIST = "update_list"
    STACK_TRACE = "stack_trace"
    COUNT_UPDATE = "count_update"
    SILENCE_NOTICE = "silence_notice"
    DIGEST = "digest"
    OUTAGE_NOTICE = "outage_notice"


# What counts towards a storm.
STORM_KINDS = (
    MessageKind.NOTIFICATION,
    MessageKind.STORM_LIST,
    MessageKind.QUIET_LIST,
    MessageKind.WAIT_LIST,
)
# What says first that there is a problem, alone or in a list.
NOTIFICATION_KINDS = (*STORM_KINDS, MessageKind.AWAY_LIST)


def is_canary(title: str, level: str | None) -> bool:
    """Whether this is the issue of a bot's own test event, this bot's or another one's: no list and no room shows it.

    The whole title and, where the server says it, the level: the text of an error cannot hide the error.
    """
    return title.removeprefix(_BUGSINKS_PREFIX) == CANARY_TITLE and level in (None, "info")


@dataclass(frozen=True)
class Alert:
    """Something that a room may want to know, from a webhook or from the poller.

    `delivery` names this one delivery (Request-ID, body hash, or the poller's own key): the same one twice is a
    replay. `reason` is one of ALERT_REASONS; `source` is "webhook" or "poll". `project_id` and `project_name` are
    stored, as some servers do not send the slug; `link` is the issue's page on the server. `assignee_kind` is
    "user", "team", "nobody", or "" where the sender does not say. `category` is FEEDBACK (what a user wrote),
    UPTIME (a monitored site) or "" for all others. `how` says more about an activity: `in release shop@1.3.0`.
    `first_seen` is in seconds since 1970, `frame` the failing frame and `trace` a short stack trace. `asked` names
    the answers of the server that the alert was completed from (`config.facts`): what lacks then, the server does
    not say. `away_since` is when the server last answered, if the alert is from a time when the bot could not ask
    it. All texts are as hostile as any error.
    """

    delivery: str
    reason: str
    source: str
    at: datetime
    issue_id: str = ""
    short_id: str = ""
    title: str = ""
    culprit: str = ""
    level: str | None = None
    project: str = ""
    project_id: str = ""
    project_name: str = ""
    environment: str | None = None
    release: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    link: str = ""
    events: int | None = None
    users: int | None = None
    actor: str = ""
    assignee: str = ""
    rule: str = ""
    text: str = ""
    assignee_kind: str = ""
    assignee_mail: str = ""
    category: str = ""
    how: str = ""
    platform: str | None = None
    priority: str | None = None
    first_seen: float | None = None
    frame: str = ""
    trace: str = ""
    asked: str = ""
    away_since: float | None = None

    @property
    def way(self) -> str:
        """`rule` where a rule reports a change of the issue, else the source: several ways may report one change."""
        return "rule" if self.rule and self.reason != RULE else self.source
