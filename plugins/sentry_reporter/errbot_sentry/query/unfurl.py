"""An issue's address pasted into a room gets a two-line summary, once per issue, room and hour."""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from collections.abc import Iterator
from datetime import datetime, timedelta
from threading import Lock

from errbot_sentry.clock import Clock
from errbot_sentry.errors import AskError, SentryReporterError, ServerError
from errbot_sentry.model import Ask, View
from errbot_sentry.query.finding import IssueFinder
from errbot_sentry.query.views import unfurl_values
from errbot_sentry.server.api import FindServer
from errbot_sentry.settings import QuerySettings

log = logging.getLogger(__name__)

AGAIN_AFTER = timedelta(hours=1)
_MOST_REMEMBERED = 2000
_MOST_PER_MESSAGE = 3
_ISSUE_URL = re.compile(r"https?://[^\s<>|\"'`]*issue[^\s<>|\"'`]*", re.IGNORECASE)


class Unfurl:
    """Summaries for addresses in messages that are no commands. Silent about everything that it may not show."""

    def __init__(self, find_server: FindServer, finder: IssueFinder, settings: QuerySettings, clock: Clock) -> None:
        self._find_server = find_server
        self._finder = finder
        self._settings = settings
        self._clock = clock
        self._lock = Lock()
        self._told: OrderedDict[tuple[str, str], datetime] = OrderedDict()

    def wanted(self, text: str) -> bool:
        """Whether a message may hold an issue's address: cheap, for every message; asks nobody."""
        return self._settings.unfurl and "://" in text and _ISSUE_URL.search(text) is not None

    def views(self, text: str, ask: Ask) -> Iterator[View]:
        """The summaries of a message's addresses. It asks the server: not to be called in the receiving thread."""
        if not self.wanted(text):
            return
        urls = list(dict.fromkeys(url.rstrip(".,;:)!?") for url in _ISSUE_URL.findall(text)))
        for url in urls[:_MOST_PER_MESSAGE]:
            try:
                view = self._view(url, ask)
            except AskError:
                continue  # not ours, not there, or not to be seen here: all the same to the room
            except SentryReporterError as error:
                log.info("No summary for an address: %s", error)
                return
            if view is not None:
                yield view

    def _view(self, url: str, ask: Ask) -> View | None:
        address = self._find_server().address_of(url)
        where = ask.place.room or ask.person.acl
        if address is None or not self._first_time(address.issue.upper(), where):
            return None
        try:
            issue = self._finder.find(url, ask)
        except ServerError:
            self._forget(address.issue.upper(), where)  # whoever pastes it again may have more luck
            raise
        # The same issue has several addresses: by number, by short id, of an event.
        if address.issue != issue.id and not self._first_time(issue.id.upper(), where):
            return None
        return View("sentry_unfurl", unfurl_values(issue, self._clock.now()))

    def _forget(self, issue: str, where: str) -> None:
        with self._lock:
            self._told.pop((issue, where), None)

    def _first_time(self, issue: str, where: str) -> bool:
        now = self._clock.now()
        with self._lock:
            last = self._told.get((issue, where))
            if last is not None and now - last < AGAIN_AFTER:
                return False
            self._told[issue, where] = now
            self._told.move_to_end((issue, where))
            while len(self._told) > _MOST_REMEMBERED:
                self._told.popitem(last=False)
            return True
