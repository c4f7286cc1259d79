"""Replies to a person whose command failed: "Reported as ERRBOT-3 (event 1f2e…)".

The reporting flow says whose command failed. The short id is looked up in the background, because the server needs a
moment to create the issue. The reply answers the person's message, so it appears where they typed the command.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from errbot_sentry.chat.background_queue import BackgroundQueue
from errbot_sentry.chat.render.templates import Replies
from errbot_sentry.chat.typed_messages import conversation_of
from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.conversation import Conversation, View
from errbot_sentry.domain.errors import SentryReporterError
from errbot_sentry.domain.issues import Issue
from errbot_sentry.reporting.follow_ups import ReportedError

log = logging.getLogger(__name__)

_LOOK_SECONDS = 6.0
_PAUSE = 1.2  # seconds; Sentry lets an organization look up one event per second

FindIssue = Callable[[str, Conversation], Issue | None]
"""Returns the issue of an event (32 hex digits). None if the server has none yet, or if it must not be shown here."""

IsAnnounced = Callable[[Issue, Conversation], bool]
"""Returns whether this conversation gets a notification with a link to the issue anyway."""


class FollowUp:
    """Replies to people about their errors."""

    def __init__(
        self,
        bot: Any,
        replies: Replies,
        background: BackgroundQueue,
        find_issue: FindIssue,
        is_announced: IsAnnounced,
        clock: Clock,
    ) -> None:
        self._bot = bot
        self._replies = replies
        self._background = background
        self._find_issue = find_issue
        self._is_announced = is_announced
        self._clock = clock

    def reported(self, reported: ReportedError) -> None:
        """Reply to this person later; returns at once. If too many replies wait, this one is dropped."""
        self._background.do(lambda: self._reply(reported))

    def _reply(self, reported: ReportedError) -> None:
        conversation = conversation_of(reported.message, str(self._bot.mode))
        issue = self._look(reported, conversation) if reported.sent else None
        values: dict[str, object] = {
            "event": reported.event_id,
            "sent": reported.sent,
            "id": issue.short_id or issue.id if issue else "",
            "link": issue.link if issue and not self._is_announced(issue, conversation) else "",
        }
        for text in self._replies.of("follow-up", [View("sentry_reported", values)]):
            self._bot.send_simple_reply(reported.message, text)

    def _look(self, reported: ReportedError, conversation: Conversation) -> Issue | None:
        """Wait a few seconds for the server to show the issue; None if it does not."""
        end = self._clock.monotonic() + _LOOK_SECONDS
        try:
            issue = self._find_issue(reported.event_id, conversation)
            while issue is None and self._clock.monotonic() < end and not self._background.pause(_PAUSE):
                issue = self._find_issue(reported.event_id, conversation)
        except SentryReporterError as error:
            log.info("no issue for event %s: %s", reported.event_id, error)
            return None
        return issue
