"""The chat network goes away in every way it can, and comes back: the bot follows, and what waited is in the room.

Each wait is shorter than what Errbot itself takes, a minute or for ever; benchmarks/recovery.py measures the seconds.
"""

from __future__ import annotations

import re
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import datetime, timezone
from pathlib import Path

import pytest

from tests.fakes.http_server import HttpServer, Reply
from tests.servers.errbot_process import START_SECONDS
from tests.servers.irc_client import IrcClient
from tests.servers.ngircd import Ngircd
from tests.servers.prosody import DOMAIN, Prosody
from tests.servers.tcp_proxy import TcpProxy
from tests.servers.tiny_plugin import write_plugin
from tests.system.plugin_copies import PLUGIN
from tests.system.recovery_world import BOT, RecoveryWorld
from tests.waiting import until

# slixmpp 1.8.6, the last that Errbot 6.2.1 works with, asks the resolver in its old way.
pytestmark = pytest.mark.filterwarnings("ignore:gethostbyname")

SECONDS = 45.0
_SLOW = """
import time
from errbot import BotPlugin


class Slow(BotPlugin):
    def callback_connect(self):
        time.sleep(1)
"""


@pytest.fixture(params=["ngircd", "prosody"])
def server(request: pytest.FixtureRequest) -> Ngircd | Prosody:
    """Each of the two networks."""
    found: Ngircd | Prosody = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What ends with the test."""
    with ExitStack() as stack:
        yield stack


def test_the_server_restarts(tmp_path: Path, server: Ngircd | Prosody, stack: ExitStack) -> None:
    proxy = stack.enter_context(TcpProxy(server.port))  # so that the bot comes back after alice
    world = RecoveryWorld(tmp_path, server, port=proxy.port)
    alice = stack.enter_context(world.person())
    stack.enter_context(world.bot)
    alice.wait_for_join(BOT, world.room)
    for number in ("1", "2"):  # and once more, on a connection that the bot made by itself
        before = len(world.bot.log)
        proxy.refuse()
        server.kill()
        world.bot.wait_for_log("webhooks are still taken", after=before)
        world.hook(number)
        server.start()
        alice = stack.enter_context(world.person())
        proxy.mend()
        alice.wait_for(f"SHOP-{number}", SECONDS, sender=BOT)
    assert world.bot.log.count("Traceback") == 0


def test_a_plugin_keeps_the_loop_in_which_rooms_are_joined(
    tmp_path: Path, server: Ngircd | Prosody, stack: ExitStack
) -> None:
    """What waited does not join the room beside Errbot's own join: slixmpp fails when two joins are on their way."""
    slow = write_plugin(tmp_path, _SLOW, "Slow")
    proxy = stack.enter_context(TcpProxy(server.port))
    world = RecoveryWorld(tmp_path, server, port=proxy.port, BOT_EXTRA_PLUGIN_DIR=[str(PLUGIN), str(slow)])
    alice = stack.enter_context(world.person())
    stack.enter_context(world.bot)
    alice.wait_for_join(BOT, world.room)
    before = len(world.bot.log)
    proxy.refuse()
    proxy.end()
    world.bot.wait_for_log("webhooks are still taken", after=before)
    world.hook("1")
    proxy.mend()
    alice.wait_for("SHOP-1", SECONDS, sender=BOT)
    assert "joins it" not in world.bot.log[before:]
    assert world.bot.log.count("Traceback") == 0


def test_the_bot_is_kicked_out_of_the_room(tmp_path: Path, server: Ngircd | Prosody, stack: ExitStack) -> None:
    world = RecoveryWorld(tmp_path, server)
    alice = stack.enter_context(world.person())
    stack.enter_context(world.bot)
    world.hook("1")
    alice.wait_for("SHOP-1", SECONDS, sender=BOT)  # it has joined
    if isinstance(alice, IrcClient):
        alice.raw(f"KICK {world.room} {BOT}")
    else:
        alice.set_role(world.room, BOT, "none")
    until(lambda: BOT not in alice.names(world.room), SECONDS, "the bot is out")
    world.hook("2")
    alice.wait_for("SHOP-2", SECONDS, sender=BOT)
    assert world.bot.log.count("Traceback") == 0


def test_the_password_is_refused_for_a_while(tmp_path: Path, prosody: Prosody, stack: ExitStack) -> None:
    world = RecoveryWorld(tmp_path, prosody)
    stack.enter_context(world.bot)
    stack.enter_context(world.person()).wait_for_join(BOT, world.room)
    prosody.kill()
    prosody.passwords[BOT] = "another"
    world.hook("1")
    prosody.start()
    world.bot.wait_for_log("XMPP refuses the bot's password .not-authorized")
    world.hook("2")
    prosody.kill()
    prosody.passwords.clear()
    prosody.start()
    alice = stack.enter_context(world.person())
    alice.wait_for("SHOP-1", SECONDS, sender=BOT)
    alice.wait_for("SHOP-2", SECONDS, sender=BOT)
    assert world.bot.log.count("Traceback") == 0


def test_the_connection_dies_without_a_word(tmp_path: Path, server: Ngircd | Prosody, stack: ExitStack) -> None:
    """What is written into the dead connection is not lost."""
    proxy = stack.enter_context(TcpProxy(server.port))
    world = RecoveryWorld(tmp_path, server, port=proxy.port)
    alice = stack.enter_context(world.person())
    stack.enter_context(world.bot)
    alice.wait_for_join(BOT, world.room)
    world.hook("1")
    alice.wait_for("SHOP-1", SECONDS)
    proxy.cut()
    world.hook("2")
    world.bot.wait_for_log("webhooks are still taken", SECONDS)
    world.hook("3")
    proxy.mend()
    for number in ("2", "3"):
        alice.wait_for(f"SHOP-{number}", SECONDS)
    assert world.bot.log.count("Traceback") == 0


def test_the_server_is_away_when_the_bot_starts(tmp_path: Path, server: Ngircd | Prosody, stack: ExitStack) -> None:
    proxy = stack.enter_context(TcpProxy(server.port))
    world = RecoveryWorld(tmp_path, server, port=proxy.port)
    alice = stack.enter_context(world.person())
    proxy.refuse()
    world.bot.start(wait=False)
    stack.callback(world.bot.stop)
    world.bot.wait_for_log("server is not connected: the next try", SECONDS)
    proxy.mend()
    alice.wait_for_join(BOT, world.room, SECONDS)


def test_before_the_first_connect(tmp_path: Path, server: Ngircd | Prosody, stack: ExitStack) -> None:
    """Webhooks are taken and the fallback gets them; then, as after a drop, the room gets each of them once."""
    proxy = stack.enter_context(TcpProxy(server.port))
    receiver = stack.enter_context(HttpServer(lambda _request: Reply()))
    fallback = {"urls": [f"json://127.0.0.1:{receiver.port}"], "after": "1s"}
    world = RecoveryWorld(tmp_path, server, port=proxy.port, SENTRY_FALLBACK=[fallback])
    alice = stack.enter_context(world.person())
    proxy.refuse()
    began = datetime.now(timezone.utc)
    world.bot.start(wait=False)
    stack.callback(world.bot.stop)
    world.bot.wait_for_log("the chat network is not there yet", START_SECONDS)
    up = datetime.now(timezone.utc)
    world.hook("1")
    (taken,) = until(lambda: [request.json["message"] for request in receiver.requests], SECONDS, "the fallback has it")
    since = re.search(r"Chat has been away since (.*) UTC: ", taken)
    assert since is not None
    assert began.strftime("%Y-%m-%d %H:%M") <= since[1] <= up.strftime("%Y-%m-%d %H:%M")
    assert "SHOP-1" in taken
    world.bot.wait_for_log("sent to the fallback: message 1", SECONDS)
    world.bot.kill9()  # nothing is in memory only
    before = len(world.bot.log)
    world.bot.start(wait=False)
    world.bot.wait_for_log("the chat network is not there yet", START_SECONDS, after=before)
    world.hook("2")
    proxy.mend()
    alice.wait_for(r"notifications? also went to the fallback", SECONDS, sender=BOT)
    alice.wait_for("SHOP-2", SECONDS, sender=BOT)
    world.hook("3")
    alice.wait_for("SHOP-3", SECONDS, sender=BOT)
    for number in ("1", "2", "3"):
        assert len(re.findall(f"SHOP-{number} ", world.texts(alice))) == 1
    assert "Traceback" not in world.bot.log + world.bot.output


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="Errbot's storage is in memory there: no blacklist is kept")
def test_a_blacklisted_plugin_does_not_start_before_the_first_connect(
    tmp_path: Path, ngircd: Ngircd, stack: ExitStack
) -> None:
    proxy = stack.enter_context(TcpProxy(ngircd.port))
    world = RecoveryWorld(tmp_path, ngircd, port=proxy.port)
    alice = stack.enter_context(world.person())
    with world.bot:
        alice.wait_for_join(BOT, world.room)
        alice.say(BOT, "!plugin blacklist SentryReporter")
        alice.wait_for("blacklisted", SECONDS, target="alice", sender=BOT)
    proxy.refuse()
    before = len(world.bot.log)
    world.bot.start(wait=False)
    stack.callback(world.bot.stop)
    tries = r"(?:the next try is in[\s\S]*){6}"  # the first after one second, each of the others after two or more
    world.bot.wait_for_log(tries, START_SECONDS, after=before)
    assert "the chat network is not there yet" not in world.bot.log[before:]


def test_sigterm_before_the_first_connect(tmp_path: Path, server: Ngircd | Prosody, stack: ExitStack) -> None:
    proxy = stack.enter_context(TcpProxy(server.port))
    world = RecoveryWorld(tmp_path, server, port=proxy.port)
    alice = stack.enter_context(world.person())
    proxy.refuse()
    world.bot.start(wait=False)
    stack.callback(world.bot.stop)
    world.bot.wait_for_log("the chat network is not there yet", START_SECONDS)
    world.hook("1")
    world.bot.send_signal(signal.SIGTERM)
    assert world.bot.wait_for_exit() in (0, -signal.SIGINT)  # the latter on XMPP, as with Ctrl-C
    assert "errbot.plugin_manager     Bye." in world.bot.log
    proxy.mend()
    world.bot.start()
    alice.wait_for("SHOP-1", SECONDS, sender=BOT)


def test_an_admin_reloads_and_switches_off_and_on(tmp_path: Path, server: Ngircd | Prosody, stack: ExitStack) -> None:
    """Errbot handles nothing else until such a command has ended, on IRC with the library's lock taken."""
    world = RecoveryWorld(tmp_path, server)
    alice = stack.enter_context(world.person())
    stack.enter_context(world.bot)
    alice.wait_for_join(BOT, world.room)
    to = BOT if isinstance(alice, IrcClient) else f"{BOT}@{DOMAIN}"
    for command in ("reload", "deactivate", "activate"):
        alice.say(to, f"!plugin {command} SentryReporter")
        alice.wait_for(f"SentryReporter {command}e?d", SECONDS)
    world.hook("1")
    alice.wait_for("SHOP-1", SECONDS, sender=BOT)


def test_the_nick_is_taken(tmp_path: Path, ngircd: Ngircd, stack: ExitStack) -> None:
    """Another one serves, until the configured one is free again."""
    world = RecoveryWorld(tmp_path, ngircd)
    alice = stack.enter_context(world.person())
    ghost = IrcClient(ngircd.host, ngircd.port, BOT)
    stack.enter_context(world.bot)
    world.hook("1")
    alice.wait_for("SHOP-1", SECONDS, sender=f"{BOT}_")
    ghost.close()
    until(lambda: alice.names(world.room) == {"alice", BOT}, SECONDS, "the bot has its own nick")
    world.hook("2")
    alice.wait_for("SHOP-2", SECONDS, sender=BOT)
    alice.say(BOT, "!sentry status")
    alice.wait_for("delivery", SECONDS, target="alice", sender=BOT)
    assert world.bot.log.count("Traceback") == 0


def test_sigterm_is_an_orderly_end(tmp_path: Path, server: Ngircd | Prosody, stack: ExitStack) -> None:
    world = RecoveryWorld(tmp_path, server)
    alice = stack.enter_context(world.person())
    with world.bot:
        alice.wait_for_join(BOT, world.room)
        world.hook("1")
        alice.wait_for("SHOP-1", SECONDS)
        server.kill()
        world.bot.wait_for_log("webhooks are still taken")
        world.hook("2")
        world.bot.send_signal(signal.SIGTERM)
        assert world.bot.wait_for_exit() in (0, -signal.SIGINT)  # the latter on XMPP, as with Ctrl-C
        assert "errbot.plugin_manager     Bye." in world.bot.log
    server.start()
    alice = stack.enter_context(world.person())
    with world.bot:
        alice.wait_for("SHOP-2", SECONDS, sender=BOT)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_restart_repeats_no_message_of_the_last_seconds(
    tmp_path: Path, server: Ngircd | Prosody, stack: ExitStack, number: int
) -> None:
    """The bot leaves the network itself, so no connection has broken."""
    world = RecoveryWorld(tmp_path, server)
    alice = stack.enter_context(world.person())
    with world.bot:
        alice.wait_for_join(BOT, world.room)
        world.hook("1")
        alice.wait_for("SHOP-1", SECONDS)
        until(lambda: is_marked(world), SECONDS, "the message is marked as sent")
        world.bot.send_signal(number)
        world.bot.wait_for_exit()
    with world.bot:
        world.hook("2")
        alice.wait_for("SHOP-2", SECONDS, sender=BOT)
    assert len(re.findall("SHOP-1 ", world.texts(alice))) == 1


def is_marked(world: RecoveryWorld) -> bool:
    """Whether the state says that the first message was sent, perhaps a moment ago."""
    with closing(sqlite3.connect(world.bot.data / "sentry_reporter.sqlite3")) as state:
        return state.execute("select 1 from outbox where sent is not null").fetchone() is not None
