"""Reports to the bot's admins and the log what is wrong or odd about the settings."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from errbot_sentry.chat.background_queue import BackgroundQueue
from errbot_sentry.chat.render.templates import Replies
from errbot_sentry.config.mistakes import QUERY, Hint, project_globs, unmatched_projects
from errbot_sentry.config.settings import Settings
from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.errors import ServerError
from errbot_sentry.server.protocol import Server

log = logging.getLogger(__name__)

_RETRY_SECONDS = 10.0
_MOST_WAITING = 20
_PLUG = "sentry_reporter.plug"


class SettingsNotices:
    """Notices about one set of settings.

    Args:
        warn_admins: sends a Markdown text to the bot's admins.
        find_server: the server; raises ServerError.
        background: runs the jobs that wait for the server.
        never_match: returns sentences about matchers that this kind of server can never answer.
        is_connected: returns whether admins can be reached. If not, messages to them wait for `connected`.
    """

    def __init__(
        self,
        bot: Any,
        settings: Settings,
        replies: Replies,
        warn_admins: Callable[[str], None],
        find_server: Callable[[], Server],
        background: BackgroundQueue,
        clock: Clock,
        never_match: Callable[[str], Iterable[str]],
        is_connected: Callable[[], bool] = lambda: True,
    ) -> None:
        self._bot = bot
        self._settings = settings
        self._replies = replies
        self._warn_admins = warn_admins
        self._find_server = find_server
        self._background = background
        self._clock = clock
        self._never_match = never_match
        self._is_connected = is_connected
        self._waiting: deque[tuple[str, Sequence[str]]] = deque(maxlen=_MOST_WAITING)
        self._next_look: float | None = 0.0  # when to check the projects of the settings; None: done
        self.hints: tuple[Hint, ...] = ()
        """All oddities found so far."""

    def start(self, listener_trouble: str, hints: tuple[Hint, ...]) -> None:
        """Report what is known now; what only the server knows is reported when it answers."""
        self.hints = (*hints, *self.hints)  # the server may have answered already
        trouble = [*map(str, self._settings.mistakes), *([listener_trouble] if listener_trouble else [])]
        self._tell_admins("settings in config.py that cannot be used", trouble)
        copies = copies_of_us(self._bot)
        if len(copies) > 1:
            folders = ": " + ", ".join(map(str, copies))
            self.hints += (Hint("SentryReporter is installed more than once, and Errbot loads one copy only", folders),)
        self._tell_hints(self.hints)
        self.look_for_projects()

    def connected(self) -> None:
        """Send the admins what has waited for the chat network."""
        while self._waiting:
            self._send(*self._waiting.popleft())

    def look_for_projects(self) -> None:
        """Check in the background whether the settings' projects exist and the routes' matchers can match.

        After the server has answered once, this does nothing.
        """
        settings = self._settings
        if self._next_look is None or self._clock.monotonic() < self._next_look:
            return
        self._next_look = None
        wanted = project_globs(settings.access, settings.alerts.routes) or settings.alerts.routes
        if wanted and settings.server.token and not settings.mistakes_of(QUERY):
            self._background.do(self._compare_projects)

    def _compare_projects(self) -> None:
        try:
            server = self._find_server()
            slugs = [project.slug for project in server.projects()]
        except ServerError:
            self._next_look = self._clock.monotonic() + _RETRY_SECONDS
            return
        found = (
            *unmatched_projects(self._settings.access, self._settings.alerts.routes, slugs),
            *map(Hint, self._never_match(server.kind)),
        )
        self.hints += found
        self._tell_hints(found)

    def _tell_hints(self, hints: Iterable[Hint]) -> None:
        self._tell_admins("check these settings in config.py", [str(hint) for hint in hints])

    def _tell_admins(self, heading: str, sentences: Sequence[str]) -> None:
        """Send one message; some backends cannot send to admins at this point."""
        if not sentences:
            return
        for sentence in sentences:
            log.warning("config.py: %s", sentence)
        self._send(heading, sentences)

    def warn(self, heading: str, sentence: str) -> None:
        """Report to the bot's admins and the log what stopped working, or works again."""
        log.warning("%s: %s", heading, sentence)
        self._send(heading, (sentence,))

    def _send(self, heading: str, sentences: Sequence[str]) -> None:
        if not self._is_connected():
            self._waiting.append((heading, sentences))
            return
        try:
            for message in self._replies.notice(f"SentryReporter: {heading}", sentences):
                self._warn_admins(message)
        except Exception as error:  # noqa: BLE001 - XMPP cannot address admins at all
            log.warning("the admins could not be notified: %s", error)


def copies_of_us(bot: Any) -> list[Path]:
    """The folders of all copies that Errbot finds. It loads the first and ignores the others, with a line in its log
    (errbot/plugin_manager.py, `_load_plugins_generic`): an update of the wrong copy then changes nothing."""
    places = getattr(getattr(bot, "plugin_manager", None), "plugin_places", ())
    found = {plug.resolve().parent for place in places for plug in Path(place).glob(f"**/{_PLUG}")}
    return sorted(found)
