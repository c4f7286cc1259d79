"""The rig for Telegram: the real backend and library against the stand-in, without our plugin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fakes.telegram_server import ANN, BOB, FORUM, OPS, TOPIC, TelegramServer
from tests.servers.network_bot import Greeter
from tests.servers.telegram_bot import TelegramBot
from tests.waiting import until


class World:
    """Telegram, and a bot that can only speak and answer."""

    def __init__(self, folder: Path, ends: ExitStack) -> None:
        self.telegram = TelegramServer()
        self.greeter = Greeter(folder)
        self.bot = TelegramBot(folder, self.telegram, [self.greeter.folder])
        ends.enter_context(self.telegram)
        ends.enter_context(self.bot.process)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as ends:
        yield World(tmp_path, ends)


def test_the_bot_speaks_answers_and_is_refused(world: World) -> None:
    server = world.telegram
    world.greeter.say(str(OPS), "hello, team")
    until(lambda: [sent.text for sent in server.in_chat()] == ["hello, team"], 30)

    server.say(ANN, "!ping", OPS)
    until(lambda: server.in_chat()[-1].text == "pong", 30)
    server.say(BOB, "!ping")
    until(lambda: [sent.text for sent in server.in_chat(BOB)] == ["pong"], 30)

    server.kicked.add(OPS)
    world.greeter.say(str(OPS), "nobody reads this")
    world.bot.process.wait_for_log("Greeter: not sent nobody reads this")
    assert server.called("sendMessage")[-1].status == 403
    assert len(server.in_chat()) == 2

    server.refuse("sendMessage", 429, times=1, retry_after=7)
    world.greeter.say(str(FORUM), "too fast")
    world.bot.process.wait_for_log("Greeter: not sent too fast")
    world.bot.process.wait_for_log("Retry in 7")


def test_the_bot_hears_of_edits_clicks_and_topics_only_what_the_backend_can(world: World) -> None:
    server = world.telegram
    typed = server.say(ANN, "!ping", FORUM, topic=TOPIC)
    until(lambda: server.in_chat(FORUM), 30)
    assert server.in_chat(FORUM)[0].topic is None  # the backend answers in the general topic

    assert not server.react(ANN, server.in_chat(FORUM)[0], "👍")  # it asks for no reactions
    server.edit(typed, "!pong")
    world.bot.process.wait_for_log("'NoneType' object has no attribute 'text'")
    server.say(ANN, "!ping", FORUM)
    until(lambda: len(server.in_chat(FORUM)) == 2, 30)


def test_a_cut_long_poll_is_asked_again(world: World) -> None:
    server = world.telegram
    server.wait_for_poll()
    server.cut()
    server.wait_for_call("getMe", 2, 60)
    server.say(ANN, "!ping", OPS)
    until(lambda: server.in_chat(), 30)
