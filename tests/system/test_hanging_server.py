"""A server that takes questions and never answers: the rest of the bot goes on."""

from __future__ import annotations

from pathlib import Path

from demo.processes import free_port
from tests.fakes.http_server import HttpServer, Reply, Request, as_json
from tests.servers.errbot_process import ErrbotProcess
from tests.servers.ngircd import Ngircd
from tests.system.irc_world import BOT, ROOM, person_in_room
from tests.system.plugin_copies import PLUGIN
from tests.waiting import until


def test_other_plugins_answer_while_our_commands_wait(tmp_path: Path, ngircd: Ngircd) -> None:
    def never(_request: Request) -> Reply:
        server.stopping.wait(120)
        return as_json({})

    with HttpServer(never) as server:
        bot = ErrbotProcess(
            tmp_path / "bot",
            [PLUGIN],
            {
                "BOT_IDENTITY": {"nickname": BOT, "server": "127.0.0.1", "port": ngircd.port},
                "BOT_ADMINS": ("alice!*@*",),
                "CHATROOM_PRESENCE": (ROOM,),
                "IRC_CHANNEL_RATE": 0,
                "SENTRY_URL": server.url,
                "SENTRY_AUTH_TOKEN": f"token-{free_port()}",
                "SENTRY_ORG": "acme",
            },
            backend="IRC",
        )
        nicks = ("bob", "carol", "dave")
        with person_in_room(ngircd) as alice, bot:
            alice.wait_for_join(BOT, ROOM)
            for nick in nicks:
                with person_in_room(ngircd, nick) as person:
                    for _ in range(5):
                        person.say(ROOM, "!sentry projects")
            alice.say(ROOM, "!uptime")
            said: list[str] = []

            def answered() -> bool:
                said[:] = [text for text in alice.texts(ROOM, BOT) if text.strip()]
                busy = [text for text in said if "Too many of my commands are still running" in text]
                # Of the fifteen commands, eight run: Errbot has ten threads, and two stay free for other plugins.
                return len(busy) == 7 and any("I've been up" in text for text in said)

            until(answered, 60, lambda: f"{said} {bot.log[-2000:]}")
    waited = [place for place, text in enumerate(said) if "did not answer in time" in text]
    up = next(place for place, text in enumerate(said) if "I've been up" in text)
    assert not waited or up < min(waited)
