"""Summaries in two lines for issues whose web address was pasted into a room: once an hour for each issue and room."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from cachetools import TTLCache

from errbot_sentry.commands.issue_refs import IssueFinder
from errbot_sentry.commands.views import unfurl_values
from errbot_sentry.config.settings import CommandSettings
from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.conversation import Invocation, View
from errbot_sentry.domain.errors import SentryReporterError, ServerError, UserError
from errbot_sentry.domain.locks import Lock
from errbot_sentry.server.protocol import FindServer

log = logging.getLogger(__name__)

AGAIN_AFTER = 3600.0  # seconds
_MOST_REMEMBERED = 2000
_MOST_PER_MESSAGE = 3
_MINUTE = 60.0  # seconds
_MOST_PER_MINUTE = 12  # look-ups for one room: nobody reads more, and each makes a call with the bot's token
_MOST_PER_MINUTE_IN_ALL = 60
_PAUSE = timedelta(seconds=20)  # after a failure: each call to a server that does not answer delays other jobs
_LONGEST_TEXT = 20_000
# "issue" is not in the pattern: with it, `re` would take minutes for a long text without that word.
_URL = re.compile(r"https?://[^\s<>|\"'`]+", re.IGNORECASE)


COMMAND = "issue"
"""The command that somebody could have typed instead, followed by the address."""


class Unfurl:
    """Makes summaries for addresses in messages that are not commands. Issues that must not be shown get none."""

    def __init__(self, find_server: FindServer, finder: IssueFinder, settings: CommandSettings, clock: Clock) -> None:
        self._find_server = find_server
        self._finder = finder
        self._settings = settings
        self._clock = clock
        self._lock = Lock()
        # (issue, room): what was shown within the last hour, and what was looked up within the last minute.
        self._shown = TTLCache[tuple[str, str], bool](_MOST_REMEMBERED, AGAIN_AFTER, timer=clock.monotonic)
        self._lately = TTLCache[tuple[str, str], bool](_MOST_REMEMBERED, _MINUTE, timer=clock.monotonic)
        self._pause_until: datetime | None = None

    def wanted(self, text: str) -> bool:
        """Whether a message may have an issue's address. Quick, because it sees every message; makes no request."""
        return self._settings.unfurl and "://" in text and bool(_addresses(text))

    def views(self, text: str, invocation: Invocation, may_look: Callable[[str], bool]) -> Iterator[View]:
        """The summaries of a message's addresses. It asks the server, so it must not run in the receiving thread.

        `may_look` says of an address whether the message's sender may run COMMAND with it in this conversation.
        """
        if not self.wanted(text):
            return
        for url in _addresses(text)[:_MOST_PER_MESSAGE]:
            if self._pausing():
                return
            try:
                view = self._view(url, invocation, may_look)
            except UserError:
                continue  # not our address, no such issue, or it must not be shown here: the room sees no difference
            except SentryReporterError as error:
                log.info("No summary for an address: %s", error)
                self._pause_until = self._clock.now() + _PAUSE
                return
            if view is not None:
                yield view

    def _view(self, url: str, invocation: Invocation, may_look: Callable[[str], bool]) -> View | None:
        address = self._find_server().address_of(url)
        where = invocation.conversation.room or invocation.person.acl
        if address is None or not may_look(url) or not self._first_time(address.issue.upper(), where):
            return None
        try:
            issue = self._finder.find(url, invocation)
        except ServerError:
            self._forget(address.issue.upper(), where)  # so that it can be pasted again
            raise
        # An issue has several addresses: with its number, its short id, or an event's id.
        if address.issue != issue.id and not self._first_time(issue.id.upper(), where):
            return None
        return View("sentry_unfurl", unfurl_values(issue, self._clock.now()))

    def _forget(self, issue: str, where: str) -> None:
        with self._lock:
            self._shown.pop((issue, where), None)

    def _pausing(self) -> bool:
        return self._pause_until is not None and self._clock.now() < self._pause_until

    def _first_time(self, issue: str, where: str) -> bool:
        """Whether to look an issue up for this room: not shown there in the last hour, and not too many others now."""
        with self._lock:
            rooms = [room for _, room in self._lately]
            if (issue, where) in self._shown or rooms.count(where) >= _MOST_PER_MINUTE:
                return False
            if len(rooms) >= _MOST_PER_MINUTE_IN_ALL:
                return False
            self._shown[issue, where] = self._lately[issue, where] = True
            return True


def _addresses(text: str) -> list[str]:
    """The addresses in a text that may be of issues, each once."""
    found = (url.rstrip(".,;:)!?") for url in _URL.findall(text[:_LONGEST_TEXT]))
    return list(dict.fromkeys(url for url in found if "issue" in url.lower()))
