"""The composition root: builds all objects from the bot's settings, starts them and stops them."""

from __future__ import annotations

import json
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from cachetools import TTLCache

from errbot_sentry.alerting.service import AlertService
from errbot_sentry.alerting.worker import Worker
from errbot_sentry.canary import Canary, CanaryStatus
from errbot_sentry.chat.background_queue import BackgroundQueue, close_all
from errbot_sentry.chat.clicks import ClickHandler, FindClick
from errbot_sentry.chat.errbot_patches.patches import ErrbotPatches
from errbot_sentry.chat.errbot_patches.shutdown import bot_ends, chat_dropped, has_never_connected
from errbot_sentry.chat.error_replies import FollowUp
from errbot_sentry.chat.network_rooms import NetworkRooms
from errbot_sentry.chat.networks.selection import network_of
from errbot_sentry.chat.nicks import nicks_of
from errbot_sentry.chat.render.templates import PlainTemplates, Replies, Templates
from errbot_sentry.chat.settings_notices import SettingsNotices
from errbot_sentry.chat.typed_messages import MessageHandler
from errbot_sentry.commands.dispatch import Commands
from errbot_sentry.commands.registry import COMMANDS, help_text
from errbot_sentry.config.mistakes import ALERTS, QUERY, REPORT
from errbot_sentry.config.settings import Settings, read_settings
from errbot_sentry.domain.clock import Clock, SystemClock
from errbot_sentry.domain.conversation import Conversation
from errbot_sentry.domain.errors import ServerError, SettingsError, StoreError
from errbot_sentry.domain.issues import Issue
from errbot_sentry.domain.locks import Lock
from errbot_sentry.health import CONTENT_TYPE, ApiTimes, FlowFacts, exposition, health_of, status_of
from errbot_sentry.reporting.collect.bot_context import facts_of
from errbot_sentry.reporting.redact.event_masking import masked_title
from errbot_sentry.reporting.redact.scrubber import is_sensitive_name
from errbot_sentry.reporting.reporter import Reporter
from errbot_sentry.server.connection import Connection
from errbot_sentry.server.protocol import Server
from errbot_sentry.store.database import Store
from errbot_sentry.web.application import Reply, Web
from errbot_sentry.web.errbot_route import mount, web_server_trouble
from errbot_sentry.web.listener import Listener

log = logging.getLogger(__name__)

__all__ = ["COMMANDS", "App", "help_text"]  # the plugin module makes its commands from the registry

CLOSE_SECONDS = 3.5  # with the time that Errbot itself needs, the process ends within five seconds
CONNECT_SECONDS = 5.0  # most networks connect in less; much more would lose webhooks, which Sentry does not repeat
# Anybody who reaches the port can open the pages, and to count their facts the store is read, decision by decision.
_PAGES_SECONDS = 10.0
_SHORTEST_SECRET = 8  # a shorter secret could be a plain word, which would then be masked everywhere


class App:
    """The whole product, from when the plugin is loaded or activated until it is deactivated.

    Args:
        bot: Errbot's backend object.
        is_active: whether the plugin is active.
        warn_admins: sends a Markdown text to the bot's admins.
    """

    def __init__(
        self,
        bot: Any,
        is_active: Callable[[], bool],
        warn_admins: Callable[[str], None],
        clock: Clock | None = None,
    ) -> None:
        self._bot = bot
        self._clock = clock or SystemClock()
        self._settings = self._written = read_settings(bot.bot_config, os.environ, str(bot.mode))
        config = bot.bot_config
        self._templates = Templates(str(bot.mode), lambda: nicks_of(bot), prefix=str(bot.prefix))
        self._web = Web()
        self._api_times = ApiTimes()
        self._connection = Connection(self._settings.server, self._clock, observe=self._api_times.observe)
        # Separate queues, because a reply to an error waits for the server, and no click or link may wait that long.
        self._background = BackgroundQueue("link summaries and files", self._clock)
        self._click_queue = BackgroundQueue("clicks", self._clock)
        self._replies_to_errors = BackgroundQueue("replies to errors", self._clock)
        self._queues = (self._background, self._click_queue, self._replies_to_errors)
        self._is_connected = False
        self._away_since: float | None = self._clock.now().timestamp()
        self._network = network_of(bot, lambda: is_active() and self._is_connected, self._background)
        self._replies = Replies(self._templates, self._network.layout)
        self._follow_up = FollowUp(
            bot, self._replies, self._replies_to_errors, self._issue_of_event, self._is_announced, self._clock
        )
        self.reporter = Reporter(
            self._settings.report,
            facts=facts_of(bot),
            data_dir=self._settings.data_dir,
            clock=self._clock,
            notify=self._follow_up.reported,
            secrets=[*(secret.reveal() for secret in self._settings.secrets()), *_secrets_of_chat(config)],
        )
        self._store = Store(self._settings.state_url.reveal() or self._settings.state_file)  # opened at its first use
        self._rooms = NetworkRooms(self._network.room_named, self._store)
        self._start = Lock()
        self._was_connected = self._closed = False
        self._ended = threading.Event()
        self._unconnected = Worker("start without chat", self._start_unconnected)
        self._start_at = self._clock.monotonic() + CONNECT_SECONDS
        self._alerts: AlertService | None = None
        self._canary: Canary | None = None
        self._listener: Listener | None = None
        self._listener_trouble = ""
        self._commands: Commands | None = None
        self.messages: MessageHandler | None = None
        """Handles what people type; None until the app runs."""
        self.clicks: ClickHandler | None = None
        """Handles what people click; None until the app runs."""
        self._notices = SettingsNotices(
            bot,
            self._settings,
            self._replies,
            warn_admins,
            self._connection.server,
            self._background,
            self._clock,
            lambda kind: self._alerts.routes.never_match(kind) if self._alerts is not None else (),
            lambda: self._is_connected,
        )
        self._page_cache = TTLCache[str, FlowFacts](1, _PAGES_SECONDS, timer=self._clock.monotonic)
        self._page_lock = Lock()
        self._patches = ErrbotPatches(bot, self._settings.patch_errbot, on_shutdown=self.close)

    def prepare(self) -> None:
        """Do what must not wait for the activation, so that errors in loading other plugins are reported too."""
        mount(self._web)
        self._patches.apply()
        if self._reporting() and self.reporter.start():
            self.reporter.watch_commands(self._bot)

    def await_connection(self) -> None:
        """If Errbot does not connect and activate the plugin soon, run without chat, as after a lost connection."""
        if self._patches.applied("shutdown"):  # without this patch, nothing would close the app when the bot ends
            self._unconnected.start()

    def start(self) -> bool:
        """Run everything after a connect. False if the app ran with wrong room names and has closed: make another."""
        self._unconnected.stop()
        self._network.renew()
        self.connected()
        if not self._was_connected:
            self._was_connected = True
            if not self._run(self._written.with_rooms(self._rooms.ask)) and self._rooms.were_wrong():
                log.info("rooms have other names than at the last start; starting again with these")
                self.close()
                return False
            self._background.do(self._rooms.save)
        self._is_connected, self._away_since = True, None
        self._notices.connected()
        if self._alerts is not None:
            self._alerts.wake()
        return True

    def _start_unconnected(self) -> float | None:
        if (wait := self._start_at - self._clock.monotonic()) > 0:
            return wait
        if not has_never_connected(self._bot):
            return 1.0  # Errbot is activating plugins, and will soon activate this one
        if self._run(self._written.with_rooms(self._rooms.recall)):
            log.info("the chat network is not there yet; webhooks are taken all the same")
        self._unconnected.stop()
        return None

    def _run(self, settings: Settings) -> bool:
        """Start everything that needs no chat network. False if the app runs already or has closed."""
        with self._start:
            if self._closed or self._commands is not None:
                return False
            for queue in self._queues:
                queue.start()
            self._settings = settings
            self._network.offer_buttons(self._settings.alerts.public_url, self._click_secret)
            self._start_alerts()
            self._start_canary()
            self._commands = Commands(
                self._find_server,
                self._settings.access,
                self._settings.commands,
                self._clock,
                self._store,
                alerts=self._alerts,
                status=lambda: status_of(self._facts()),
                reporter=self.reporter if self._reporting() else None,
                tests=self._canary,
                changed=self._note_change,
                org=self._settings.server.org,
                prefix=str(self._bot.prefix),
            )
            self.messages = MessageHandler(self._bot, self._commands, self._replies, self._network, self._background)
            self.clicks = ClickHandler(
                self._bot, self._commands, self._replies, self._network, self._click_queue, self._alerts
            )
            pages = {"health": self._health_page, "metrics": self._metrics_page}
            self._web.open(self._alerts.receiver.take if self._alerts else None, pages, self._network.take_click)
            self._notices.start(self._listener_trouble, self._settings.hints)
            return True

    def connected(self) -> None:
        """Listen for clicks after each connect. On Discord that can be a new client while the plugin stays active."""
        self._network.listen(self._clicked)

    def leave(self) -> bool:
        """Close because the plugin is deactivated; returns whether the app has closed.

        If the chat network dropped, the app stays open until the bot shuts down. Messages wait for the next `start`.
        """
        if self._patches.applied("shutdown") and chat_dropped():
            if bot_ends() and self._alerts is not None:
                self._alerts.leave_chat()
            self._is_connected, self._away_since = False, self._clock.now().timestamp()
            log.info("the chat network dropped; webhooks are %s", "still taken" if self._listener else "not taken")
            return False
        self.close()
        return True

    def close(self, timeout: float = CLOSE_SECONDS) -> None:
        """End every thread within the timeout (seconds). Data on disk stays for the next start."""
        deadline = time.monotonic() + timeout

        def left() -> float:
            return max(0.1, deadline - time.monotonic())

        self._unconnected.stop()
        with self._start.within(left()):
            is_closing, self._closed = self._closed, True
        if is_closing:  # another thread is closing the app, or has closed it (chat/errbot_patches/sigterm.py)
            self._ended.wait(left())
            return
        self._web.close()
        try:
            # These run from the last line to the first, even if one fails. Reporting can report errors of those below.
            with ExitStack() as ends:
                ends.callback(self._patches.undo)
                ends.callback(self._network.close)
                ends.callback(lambda: self.reporter.close(left()))
                ends.callback(self._connection.close)
                ends.callback(lambda: close_all(self._queues, min(1.0, left())))
                ends.callback(self._store.close)
                if self._alerts is not None:
                    ends.callback(lambda alerts: alerts.close(max(0.5, left() - 1.0)), self._alerts)
                if self._canary is not None:
                    ends.callback(self._canary.close, min(1.0, left()))
                if self._listener is not None:
                    ends.callback(self._listener.close, min(1.0, left()))
        except Exception:  # the other parts must end all the same
            log.exception("a part of SentryReporter did not end as it should")
        finally:
            self._ended.set()

    def _clicked(self, find: FindClick) -> None:
        if self.clicks is not None:
            self.clicks.clicked(find)

    def _click_secret(self) -> str:
        with self._store.write() as tx:
            return tx.made_once.get("clicks", lambda: secrets.token_urlsafe(32))

    def _start_alerts(self) -> None:
        settings = self._settings
        if settings.mistakes_of(ALERTS):
            return
        self._alerts = AlertService(
            settings.alerts,
            settings.access,
            self._store,
            self._find_server,
            self._network,
            self._templates,
            self._clock,
            plain=PlainTemplates() if settings.alerts.fallback else None,
            mask=masked_title,
            away_since=lambda: self._away_since,
        )
        self._alerts.start()
        if settings.alerts.listen is not None:
            try:
                self._listener = Listener(settings.alerts.listen, self._web)
            except SettingsError as error:
                self._listener_trouble = str(error)
                log.warning("%s", error, exc_info=error.__cause__)

    def _start_canary(self) -> None:
        if not self._reporting():
            return
        settings = self._settings.alerts
        self._canary = Canary(
            self._settings.canary,
            self.reporter,
            self._alerts,
            self._store,
            self._find_server,
            self._clock,
            self._warn,
            has_webhooks=bool(settings.webhook_secrets or settings.webhook_tokens),
            poll_seconds=settings.poll_seconds,
        )
        self._canary.start()

    def _warn(self, sentence: str) -> None:
        """Tell the bot's admins what the canary has found, also by the fallback."""
        self._notices.warn("the regular test event (SENTRY_CANARY)", sentence)
        if self._alerts is not None:
            self._alerts.warn(sentence)

    def _find_server(self) -> Server:
        mistakes = self._settings.mistakes_of(QUERY)
        if mistakes:
            raise ServerError(f"This is switched off by a wrong setting in config.py. {mistakes[0]}.")
        server = self._connection.server()
        self._notices.look_for_projects()
        return server

    def _issue_of_event(self, event_id: str, conversation: Conversation) -> Issue | None:
        """The issue of an event, if this conversation may see it."""
        issue = self._find_server().issue_of_event(event_id)
        return issue if issue is not None and self._settings.access.may_see(issue.project.slug, conversation) else None

    def _is_announced(self, issue: Issue, conversation: Conversation) -> bool:
        """Whether this room gets a notification about the new issue, so that a second link is not needed."""
        if self._alerts is None or conversation.is_direct or (issue.events or 0) > 1:
            return False
        try:
            return self._alerts.routes.notifies(conversation.room, issue)
        except StoreError:
            return False

    def _note_change(self, issue: Issue, conversation: Conversation) -> None:
        """Note that a person changed an issue in this conversation, so that it needs no alert about the change."""
        if self._alerts is not None:
            self._alerts.note_change(issue, conversation)

    def _reporting(self) -> bool:
        return self._settings.report.enabled and not self._settings.mistakes_of(REPORT)

    def _facts(self) -> FlowFacts:
        return FlowFacts(
            settings=replace(self._settings, hints=self._notices.hints),
            report=self.reporter.status(),
            alerts=self._alerts.status() if self._alerts else None,
            listening=self._listener.port if self._listener else None,
            listener_trouble=self._listener_trouble,
            canary=self._canary.status() if self._canary else CanaryStatus(),
            now=self._clock.now(),
            network=self._network.status(),
            network_is_well=not self._network.trouble(),
            chat_away_since=self._away_since,
            token_refused=self._network.token_refused(),
            chat_dropped={queue.jobs: queue.refused for queue in self._queues if queue.refused},
            without_patches=self._patches.without,
            patches_failed=self._patches.failed,
            web_server_trouble=web_server_trouble(self._bot),
        )

    def _page_facts(self) -> FlowFacts:
        """The facts, at most _PAGES_SECONDS old. One thread at a time reads them, even if many pages are asked for."""
        with self._page_lock:
            facts = self._page_cache.get("facts")
            if facts is None:
                facts = self._page_cache["facts"] = self._facts()
            return facts

    def _health_page(self) -> Reply:
        well, facts = health_of(self._page_facts())
        return Reply(200 if well else 503, json.dumps(facts), "application/json")

    def _metrics_page(self) -> Reply:
        return Reply(200, exposition(self._page_facts(), self._api_times), CONTENT_TYPE)


def _secrets_of_chat(config: Any) -> Iterator[str]:
    """The secrets with which the bot logs in to the chat network. Some libraries log them or put them into errors."""
    identity = getattr(config, "BOT_IDENTITY", None)
    for name, value in identity.items() if isinstance(identity, dict) else ():
        if isinstance(value, str) and len(value) >= _SHORTEST_SECRET and is_sensitive_name(str(name)):
            yield value
