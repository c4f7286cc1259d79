"""A real Errbot with the real Slack backend, in an environment of its own, against a stand-in for Slack's Web API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from demo import environments
from demo.environments import ROOT, Recipe
from demo.processes import free_port
from tests.fakes.slack_server import SIGNING_SECRET, SlackServer, send_event
from tests.lifecycle.plugin_copies import PLUGIN
from tests.servers import missing
from tests.servers.errbot_process import ErrbotProcess

# Apart from the tests' own environment: the backend brings libraries that change what sentry-sdk does.
_LINES = [line.strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
SLACK = Recipe(
    "slack",
    (
        *(line for line in _LINES if line and not line.startswith(("#", "errbot"))),
        "errbot==6.2.1",
        "errbot-backend-slackv3==0.3.2",
        "matplotlib>=3.8",
    ),
)

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


class SlackBot:
    """`process` is started and stopped by the test."""

    def __init__(self, folder: Path, slack: SlackServer, **settings: Any) -> None:
        try:
            python = environments.build(SLACK)
        except environments.CannotBuild as reason:
            missing(f"no Slack backend to test with: {reason}")
        self._slack = slack
        self._port, self._listen = free_port(), free_port()
        door = folder / "door"
        door.mkdir()
        (door / "door.py").write_text(_DOOR.format(port=self._port))
        (door / "door.plug").write_text("[Core]\nName = SlackDoor\nModule = door\n[Python]\nVersion = 3\n")
        self.process = ErrbotProcess(
            folder / "bot",
            [PLUGIN, door],
            {
                "BOT_IDENTITY": {"token": "xoxb-1", "signing_secret": SIGNING_SECRET},
                "BOT_ADMINS": ("U00ANN",),
                "SENTRY_WEBHOOK_LISTEN": ("127.0.0.1", self._listen),
                "SENTRY_POLL_SECONDS": 0,
                **settings,
            },
            backend="SlackV3",
            env={"SLACK_API": slack.api},
            python=python,
            runner=Path(__file__).with_name("run_errbot_on_slack.py"),
        )

    @property
    def webhook(self) -> str:
        """Where Sentry posts to."""
        return f"http://127.0.0.1:{self._listen}/sentry/webhook"

    def event(self, **event: Any) -> int:
        """Slack tells the bot of an event; what it answered (the backend fails with 500 for people Slack denies)."""
        return send_event(f"http://127.0.0.1:{self._port}/slack/events", event)

    def react(self, person: str, emoji: str, channel: str, ts: str) -> int:
        """Somebody puts a reaction under a message."""
        item = {"type": "message", "channel": channel, "ts": ts}
        return self.event(type="reaction_added", user=person, reaction=emoji, item=item, event_ts="1760000001.000100")

    def say(self, person: str, text: str, channel: str, thread: str = "") -> None:
        """Somebody types into a channel."""
        more = {"thread_ts": thread} if thread else {}
        self.event(type="message", user=person, text=text, channel=channel, ts="1760000002.000100", **more)
