"""On a real IRC network: what is for a room while the bot is not in it arrives when the bot is back."""

from __future__ import annotations

from pathlib import Path

from demo.processes import free_port
from tests.alerting import bodies
from tests.servers.errbot_process import ErrbotProcess, irc_settings
from tests.servers.irc_client import IrcClient
from tests.servers.ngircd import Ngircd
from tests.system.plugin_copies import PLUGIN

BOT = "sentrybot"


def test_a_room_that_the_bot_is_not_in(ngircd: Ngircd, tmp_path: Path) -> None:
    """IRC drops what outsiders say in a channel, without an error: all of it counted as delivered."""
    port = free_port()
    settings = {
        **irc_settings(ngircd.port, nick=BOT, rooms=("#ops",)),
        "SENTRY_ALERTS": [{"rooms": ["#closed"]}],
        **bodies.listening(port),
    }
    with IrcClient("127.0.0.1", ngircd.port, "alice") as alice:
        alice.join("#ops")
        alice.join("#closed")
        alice.raw("MODE #closed +ni")
        with ErrbotProcess(tmp_path / "bot", [PLUGIN], settings, backend="IRC") as bot:
            alice.wait_for_join(BOT, "#ops")
            bodies.post(bodies.address(port), bodies.sentry_issue("1"), "1")
            bot.wait_for_log("the bot is not in #closed")
            alice.raw("MODE #closed -i")
            alice.wait_for("New.*SHOP-1", 60, target="#closed", sender=BOT)

            alice.raw(f"KICK #closed {BOT}")
            bodies.post(bodies.address(port), bodies.sentry_issue("2"), "2")
            alice.wait_for("New.*SHOP-2", 60, target="#closed", sender=BOT)
