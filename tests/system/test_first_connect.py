"""The chat network is away when the bot starts: what happens before the first connect, and after it."""

from __future__ import annotations

import re
import signal
import sys
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path

import pytest

from tests.fakes.http_server import HttpServer, Reply
from tests.servers.errbot_process import START_SECONDS
from tests.servers.ngircd import Ngircd
from tests.servers.prosody import Prosody
from tests.system.recovery_world import BOT, ProxiedWorld
from tests.waiting import until

# slixmpp 1.8.6, the last that Errbot 6.2.1 works with, asks the resolver in its old way.
pytestmark = pytest.mark.filterwarnings("ignore:gethostbyname")

SECONDS = 45.0


def test_the_server_is_away_when_the_bot_starts(tmp_path: Path, chat_server: Ngircd | Prosody, ends: ExitStack) -> None:
    world = ProxiedWorld(tmp_path, chat_server, ends)
    world.start_without_server()
    world.bot.wait_for_log("server is not connected: the next try", SECONDS)
    world.proxy.mend()
    world.alice.wait_for_join(BOT, world.room, SECONDS)


def test_before_the_first_connect(tmp_path: Path, chat_server: Ngircd | Prosody, ends: ExitStack) -> None:
    """Webhooks are taken and the fallback gets them; then, as after a drop, the room gets each of them once."""
    receiver = ends.enter_context(HttpServer(lambda _request: Reply()))
    fallback = {"urls": [f"json://127.0.0.1:{receiver.port}"], "after": "1s"}
    world = ProxiedWorld(tmp_path, chat_server, ends, SENTRY_FALLBACK=[fallback])
    began = datetime.now(timezone.utc)
    world.start_without_server()
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
    world.proxy.mend()
    world.alice.wait_for(r"notifications? also went to the fallback", SECONDS, sender=BOT)
    world.alice.wait_for("SHOP-2", SECONDS, sender=BOT)
    world.hook("3")
    world.alice.wait_for("SHOP-3", SECONDS, sender=BOT)
    for number in ("1", "2", "3"):
        assert len(re.findall(f"SHOP-{number} ", world.texts(world.alice))) == 1
    assert "Traceback" not in world.bot.log + world.bot.output


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="Errbot's storage is in memory there: no blacklist is kept")
def test_a_blacklisted_plugin_does_not_start_before_the_first_connect(
    tmp_path: Path, ngircd: Ngircd, ends: ExitStack
) -> None:
    world = ProxiedWorld(tmp_path, ngircd, ends)
    with world.bot:
        world.alice.wait_for_join(BOT, world.room)
        world.alice.say(BOT, "!plugin blacklist SentryReporter")
        world.alice.wait_for("blacklisted", SECONDS, target="alice", sender=BOT)
    before = len(world.bot.log)
    world.start_without_server()
    tries = r"(?:the next try is in[\s\S]*){6}"  # the first after one second, each of the others after two or more
    world.bot.wait_for_log(tries, START_SECONDS, after=before)
    assert "the chat network is not there yet" not in world.bot.log[before:]


def test_sigterm_before_the_first_connect(tmp_path: Path, chat_server: Ngircd | Prosody, ends: ExitStack) -> None:
    world = ProxiedWorld(tmp_path, chat_server, ends)
    world.start_without_server()
    world.bot.wait_for_log("the chat network is not there yet", START_SECONDS)
    world.hook("1")
    world.bot.send_signal(signal.SIGTERM)
    assert world.bot.wait_for_exit() in (0, -signal.SIGINT)  # the latter on XMPP, as with Ctrl-C
    assert "errbot.plugin_manager     Bye." in world.bot.log
    world.proxy.mend()
    world.bot.start()
    world.alice.wait_for("SHOP-1", SECONDS, sender=BOT)
