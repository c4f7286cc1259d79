"""`!sentry whoami` prints the id that SENTRY_WRITERS takes: it is pasted there as it stands, and then may change."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers.errbot_process import ErrbotProcess, irc_settings
from tests.servers.irc_client import IrcClient
from tests.servers.ngircd import Ngircd
from tests.servers.prosody import PASSWORD, Prosody
from tests.servers.xmpp_client import XmppClient
from tests.system.irc_world import ROOM as IRC_ROOM
from tests.system.plugin_copies import PLUGIN
from tests.system.xmpp_world import BOT, BOT_ADDRESS
from tests.system.xmpp_world import ROOM as XMPP_ROOM

# slixmpp 1.8.6, the last that Errbot 6.2.1 works with, asks the resolver in its old way.
pytestmark = pytest.mark.filterwarnings("ignore:gethostbyname")

SERVER = {"SENTRY_URL": "http://127.0.0.1:9", "SENTRY_AUTH_TOKEN": "t"}
# These networks show no backticks around what Markdown has as code.
ID = re.compile(r"In chat you are \S+ \((.+?)\), and you (may|may not) change issues\.")


def check(bot: ErrbotProcess, ask: Callable[[], str]) -> None:
    """Before and after the printed id is pasted."""
    bot.settings["SENTRY_WRITERS"] = ("nobody",)
    bot.write_config()
    found = []
    for _ in range(2):
        with bot:
            said = ask()
        match = ID.search(said)
        assert match, said
        found.append(match.groups())
        bot.settings["SENTRY_WRITERS"] = (match[1],)
        bot.write_config()
    assert found == [(found[0][0], "may not"), (found[0][0], "may")]


def test_on_the_text_backend(tmp_path: Path) -> None:
    bot = ErrbotProcess(tmp_path, PLUGIN, SERVER)
    check(bot, lambda: bot.ask("!sentry whoami", ID.pattern)[0])


@pytest.mark.parametrize("place", ["room", "direct"])
@pytest.mark.parametrize("nick", ["alice", "a[l]ce", "`a_i``{c}", "_al_"])
def test_on_irc(tmp_path: Path, ngircd: Ngircd, nick: str, place: str) -> None:
    bot = ErrbotProcess(tmp_path, PLUGIN, {**irc_settings(ngircd.port, rooms=(IRC_ROOM,)), **SERVER})
    with IrcClient("127.0.0.1", ngircd.port, nick) as person:
        person.join(IRC_ROOM)
        seen = 0

        def ask() -> str:
            nonlocal seen
            person.wait_for_join("errbot", IRC_ROOM, after=seen)
            seen = person.count()
            person.say(IRC_ROOM if place == "room" else "errbot", "!sentry whoami")
            text = person.wait_for("In chat you are", sender="errbot", after=seen).text
            seen = person.count()
            return text

        check(bot, ask)


@pytest.mark.parametrize("to", [XMPP_ROOM, BOT_ADDRESS], ids=["room", "direct"])
def test_on_xmpp(tmp_path: Path, prosody: Prosody, to: str) -> None:
    bot = ErrbotProcess(
        tmp_path,
        PLUGIN,
        {
            "BOT_IDENTITY": {"username": BOT_ADDRESS, "password": PASSWORD, "server": (prosody.host, prosody.port)},
            "XMPP_FEATURE_MECHANISMS": {"unencrypted_plain": True, "unencrypted_scram": True},
            "CHATROOM_PRESENCE": (XMPP_ROOM,),
            "CHATROOM_FN": BOT,
            **SERVER,
        },
        backend="XMPP",
    )
    with XmppClient(prosody, "alice") as alice:
        alice.join(XMPP_ROOM, "ann[1]")

        def ask() -> str:
            alice.wait_for_join(BOT, XMPP_ROOM)
            seen = alice.count()
            alice.say(to, "!sentry whoami")
            return alice.wait_for("In chat you are", after=seen).text

        check(bot, ask)
