"""A real Errbot with the real Slack backend, in an environment of its own, against a stand-in for Slack's Web API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from demo.processes import accepts, free_port
from tests.fakes.slack_server import SIGNING_SECRET, Said, SlackServer, send_event
from tests.fakes.slack_signed import event_body, send_click
from tests.servers.errbot_process import ErrbotProcess
from tests.servers.network_bot import Backend
from tests.servers.tiny_plugin import write_plugin
from tests.system.plugin_copies import PLUGIN
from tests.waiting import until

SLACK = Backend("Slack", ("errbot-backend-slackv3==0.3.2",), {}, "run_errbot_on_slack.py")

# Errbot's web server takes Slack's events; only a plugin can set it up without a person who types.
_DOOR = '''
from errbot import BotPlugin


class SlackDoor(BotPlugin):
    """Opens Errbot's web server."""

    def activate(self):
        super().activate()
        plugins = self._bot.plugin_manager
        if plugins.get_plugin_configuration("Webserver") is None:  # else it is open already
            plugins.set_plugin_configuration("Webserver", {{"HOST": "127.0.0.1", "PORT": {port}, "SSL": None}})
            plugins.activate_plugin("Webserver")
'''


# Each variable that slack_sdk's socket mode reads a proxy from; it does not know no_proxy.
_NO_PROXY = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), "")


class SlackBot:
    """`process` is started and stopped by the test.

    Events and clicks come over HTTP, or (`socket_mode`) through the socket. `plugins` instead of ours, where given.
    """

    def __init__(
        self,
        folder: Path,
        slack: SlackServer,
        *,
        plugins: list[Path] | None = None,
        socket_mode: bool = False,
        **settings: Any,
    ) -> None:
        self._slack = slack
        self._socket_mode = socket_mode
        self._port, self._listen = free_port(), free_port()
        door = write_plugin(folder, _DOOR.format(port=self._port), "SlackDoor")
        identity = {"token": "xoxb-1", "signing_secret": SIGNING_SECRET}
        ours = {"SENTRY_WEBHOOK_LISTEN": ("127.0.0.1", self._listen), "SENTRY_POLL_SECONDS": 0}
        self.process = ErrbotProcess(
            folder / "bot",
            [*([PLUGIN] if plugins is None else plugins), door],
            {
                "BOT_IDENTITY": {**identity, "app_token": "xapp-1"} if socket_mode else identity,
                "BOT_ADMINS": ("U00ANN",),
                **(ours if plugins is None else {}),
                **settings,
            },
            backend="SlackV3",
            env={"SLACK_API": slack.api, **_NO_PROXY},
            python=SLACK.python(),
            runner=Path(__file__).with_name(SLACK.runner),
        )

    @property
    def web(self) -> str:
        """Errbot's own web server, where a plugin's webhooks are."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def webhook(self) -> str:
        """Where Sentry posts to."""
        return f"http://127.0.0.1:{self._listen}/sentry/webhook"

    def event(self, **event: Any) -> int:
        """Slack tells the bot of an event; what it answered (the backend fails with 500 for people Slack denies).

        In socket mode this returns 200 when the bot has acknowledged it.
        """
        if self._socket_mode:
            self._slack.socket.wait_for_acknowledgement(self._slack.socket.deliver("events_api", event_body(event)))
            return 200
        self._wait_for_web()
        return send_event(f"{self.web}/slack/events", event)

    def click(
        self, person: str, said: Said, action_id: str, option: str = "", *, address: str = "", times: int = 1
    ) -> None:
        """Somebody clicks a button (or takes an `option`, by its value, of a menu) in a message as it stands now.

        `address` is the URL for interactivity, where the bot is not in socket mode. Returns when the bot has taken it.
        """
        payload = self._slack.click_payload(person, said, action_id, option)
        for _ in range(times):
            if self._socket_mode:
                self._slack.socket.wait_for_acknowledgement(self._slack.socket.deliver("interactive", payload))
            else:
                self._wait_for_web()
                assert send_click(address, payload) == 200

    def _wait_for_web(self) -> None:
        """Errbot's web server may begin to listen after the plugins are activated."""
        until(lambda: accepts(self._port) or not self.process.running, 60, "Errbot's web server listens")

    def react(self, person: str, emoji: str, channel: str, ts: str) -> int:
        """Somebody puts a reaction under a message."""
        item = {"type": "message", "channel": channel, "ts": ts}
        return self.event(type="reaction_added", user=person, reaction=emoji, item=item, event_ts="1760000001.000100")

    def say(self, person: str, text: str, channel: str, thread: str = "") -> None:
        """Somebody types into a channel."""
        more = {"thread_ts": thread} if thread else {}
        self.event(type="message", user=person, text=text, channel=channel, ts="1760000002.000100", **more)
