"""The names of all decisions about alerts, each with a sentence for people.

A name is stored with the alert, is a label of the metric `sentry_reporter_decisions`, and is shown by `!sentry alerts`
and in the docs. No other code has it as a literal.
"""

from __future__ import annotations

from enum import Enum


class DecisionName(str, Enum):
    """What became of an alert in a room, or without a room."""

    sentence: str

    def __new__(cls, name: str, sentence: str) -> DecisionName:
        """A member whose value is the stored name."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.sentence = sentence
        return member

    # A notification in the channel.
    FIRST = "first", "The room's first notification about this problem."
    REACHED = "reached", "A notification: the problem has as many events or users as the route asks for."
    REPEAT = "repeat", "A new notification: the problem goes on after the route's `repeat`."
    REGRESSED = "regressed", "A new notification: the issue was resolved and came back."
    ESCALATING = "escalating", "A new notification: the archived issue escalates."
    UNMUTED = "unmuted", "A new notification: the issue is no longer archived."
    # An update in the thread.
    UPDATE = "update", "An update: somebody changed the issue, or a metric alert changed its level."
    FLAPPING = "flapping", "An update: the issue came back within the window of its last notification."
    # To one person.
    SENT_DIRECT = "sent_direct", "Sent to a person whom the room's message mentions (`direct`)."
    # Sent later, or as a part of something else.
    COUNTED = "counted", "Counted; the number is sent when the window closes."
    BATCHED = "batched", "Deferred for the route's `wait`, then sent in one list with what came meanwhile."
    AWAY = "away", "Found after the bot was away. More than three are sent as one list, oldest first."
    STORM = "storm", "Deferred: too many notifications in a minute. They are sent as one list a minute."
    QUIET = "quiet", "Deferred to the end of the room's quiet hours. Updates are not sent."
    UPDATES_BATCHED = "updates_batched", "Deferred: too many updates in a minute. They are sent as one list."
    # Not sent.
    MERGED = "merged", "The room already has it: from webhook and poller, or from rule and issue."
    SILENCED = "silenced", "A silence matched. When it ends, the room gets the number."
    NOT_YET_NOTIFIED = "not_yet_notified", "An update whose notification is itself deferred."
    RESOLVED_EARLY = "resolved_early", "Resolved before the route's `wait` was over."
    FACT_MISSING = "fact_missing", "Not routed: a fact that the room's route asks for is missing."
    UNROUTED = "unrouted", "No route wants it."
    NEVER_NOTIFIED = "never_notified", "An activity on a problem that no room was notified of."
    NOT_VISIBLE = "not_visible", "The room may not see the project."
    NO_PROJECT = "no_project", "The server could not name the alert's project for a whole day."
    CANARY = "canary", "The bot's own test event (`SENTRY_CANARY`, `!sentry test`), which no room gets."
    FAILED = "failed", "The alert cannot be read, or the plugin failed on it. The log has the cause."

    def __str__(self) -> str:
        """The stored name."""
        return str(self.value)


# Listed by `!sentry alerts --silenced`: the room got no message of its own about these alerts.
WITHHELD = (
    DecisionName.COUNTED,
    DecisionName.BATCHED,
    DecisionName.AWAY,
    DecisionName.STORM,
    DecisionName.QUIET,
    DecisionName.UPDATES_BATCHED,
    DecisionName.SILENCED,
    DecisionName.NOT_YET_NOTIFIED,
    DecisionName.RESOLVED_EARLY,
)
