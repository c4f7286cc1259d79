"""On a real IRC network: what is for a room while the bot is not in it arrives when the bot is back."""

from __future__ import annotations

import urllib.request
from pathlib import Path

from demo.processes import free_port
from tests.alerting import bodies
from tests.servers.errbot_process import ErrbotProcess, irc_settings
from tests.servers.irc_client import IrcClient
from tests.servers.ngircd import Ngircd
from tests.system.plugin_copies import PLUGIN

BOT = "sentrybot"


def post(port: int, number: str) -> None:
    """The server's webhook about a new issue."""
    body = bodies.encode(bodies.sentry_issue(number))
    address = f"http://127.0.0.1:{port}/sentry/webhook"
    request = urllib.request.Request(address, data=body, headers=bodies.signed(body, request_id=number))
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 202


def test_a_room_that_the_bot_is_not_in(ngircd: Ngircd, tmp_path: Path) -> None:
    """IRC drops what outsiders say in a channel, without an error: all of it counted as delivered."""
    port = free_port()
    settings = {
        **irc_settings(ngircd.port, nick=BOT, rooms=("#ops",)),
        "SENTRY_ALERTS": [{"rooms": ["#closed"]}],
        "SENTRY_WEBHOOK_LISTEN": ("127.0.0.1", port),
        "SENTRY_WEBHOOK_SECRET": bodies.SECRET.reveal(),
        "SENTRY_POLL_SECONDS": 0,
    }
    with IrcClient("127.0.0.1", ngircd.port, "alice") as alice:
        alice.join("#ops")
        alice.join("#closed")
        alice.raw("MODE #closed +ni")
        with ErrbotProcess(tmp_path / "bot", [PLUGIN], settings, backend="IRC") as bot:
            alice.wait_for_join(BOT, "#ops")
            post(port, "1")
            bot.wait_for_log("the bot is not in #closed")
            alice.raw("MODE #closed -i")
            alice.wait_for("New.*SHOP-1", 60, target="#closed", sender=BOT)

            alice.raw(f"KICK #closed {BOT}")
            post(port, "2")
            alice.wait_for("New.*SHOP-2", 60, target="#closed", sender=BOT)
