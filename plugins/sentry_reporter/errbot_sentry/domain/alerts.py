"""Alerts: what a server or the poller reports about a problem."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

# The reasons of an alert: what happened to the issue.
NEW, REGRESSED, ESCALATING, UNMUTED = "new", "regressed", "escalating", "unmuted"
RULE, METRIC, TEST = "rule", "metric", "test"
SEEN_RESOLVED, SEEN_ARCHIVED, ASSIGNED, COMMENTED = "resolved", "archived", "assigned", "comment"
REOPENED, SEEN_EVENT = "reopened", "event"
PULL_REQUEST, SEER, STILL_OPEN = "pull_request", "seer", "still_open"
# Only the poller's: the issue has reached a number of events or users that a route requires. Routes that want NEW want
# this too.
REACHED = "amount"
CANARY_TITLE = "A test by SentryReporter"  # title of the bot's own test event, see `SENTRY_CANARY`
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
SOURCES = ("webhook", "poll")  # what brought an alert

# What a person, Sentry's agent or a reminder did about an issue. With the other reasons, the issue itself changed.
ACTIVITIES = (SEEN_RESOLVED, SEEN_ARCHIVED, ASSIGNED, COMMENTED, REOPENED, PULL_REQUEST, SEER, STILL_OPEN)

# Categories of alerts that are worded differently from alerts about errors.
FEEDBACK, UPTIME = "feedback", "uptime"


class Placement(Enum):
    """Where a message goes: a notification into the channel, an update into the thread under it, or nowhere."""

    CHANNEL = "channel"
    THREAD = "thread"
    NONE = "none"


class MessageKind(Enum):
    """The kinds of messages. `errbot_sentry.alerting.decide.messages.TEMPLATES` has the template of each."""

    NOTIFICATION = "notification"  # about one problem
    STORM_LIST = "storm_list"  # a list of deferred notifications, as are the next two
    QUIET_LIST = "quiet_list"
    WAIT_LIST = "wait_list"
    AWAY_LIST = "away_list"  # what happened while the bot was away, so not a sign of a storm now
    UPDATE = "update"  # about one activity, or one flap
    UPDATE_LIST = "update_list"
    STACK_TRACE = "stack_trace"
    COUNT_UPDATE = "count_update"
    SILENCE_NOTICE = "silence_notice"
    DIGEST = "digest"
    OUTAGE_NOTICE = "outage_notice"


# The kinds that count towards a storm.
STORM_KINDS = (
    MessageKind.NOTIFICATION,
    MessageKind.STORM_LIST,
    MessageKind.QUIET_LIST,
    MessageKind.WAIT_LIST,
)
# The kinds that are the first message about a problem, alone or in a list.
NOTIFICATION_KINDS = (*STORM_KINDS, MessageKind.AWAY_LIST)


def is_canary(title: str, level: str | None) -> bool:
    """Whether an issue is a bot's own test event, of this bot or another one. No list and no room shows these.

    The whole title must match, and the level if the server sends it, so that an error cannot hide behind this text.
    """
    return title.removeprefix(_BUGSINKS_PREFIX) == CANARY_TITLE and level in (None, "info")


@dataclass(frozen=True)
class Alert:
    """Something that a room may want to know, from a webhook or from the poller. All texts are untrusted.

    - `delivery` identifies the delivery (Request-ID, hash of the body, or the poller's own key). A second alert with
      the same one is a replay.
    - `reason` is one of ALERT_REASONS; `source` is one of SOURCES.
    - `project_id` and `project_name` are there because some servers do not send the slug. `link` is the issue's page on
      the server.
    - `assignee_kind` is "user", "team", "nobody", or "" if the sender does not say.
    - `category` is FEEDBACK (what a user wrote), UPTIME (a monitored site), or "" for everything else.
    - `how` says more about an activity, such as `in release shop@1.3.0`.
    - `first_seen` is in seconds since 1970. `frame` is the failing frame, and `trace` a short stack trace.
    - `asked` names the server's answers that completed the alert (`config.facts`). A fact of theirs that is missing was
      not in the answer.
    - `away_since` is when the server last answered, if the alert happened while the bot could not reach it.
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
        """How a change was reported, since several ways may report the same one: "rule", or the source."""
        return "rule" if self.rule and self.reason != RULE else self.source
