"""The rig for Discord: the real backend and library against the stand-in, without our plugin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fakes.discord_guild import ANN, CAROL, OPS, QUIET, WEB
from tests.fakes.discord_server import DiscordServer
from tests.servers.discord_bot import DiscordBot
from tests.servers.network_bot import Greeter
from tests.waiting import until


class World:
    """Discord, and a bot that can only speak and answer."""

    def __init__(self, folder: Path, ends: ExitStack) -> None:
        self.discord = DiscordServer()
        self.greeter = Greeter(folder)
        self.bot = DiscordBot(folder, self.discord, [self.greeter.folder])
        ends.enter_context(self.discord)
        ends.enter_context(self.bot.process)
        self.discord.wait_for_socket()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as ends:
        yield World(tmp_path, ends)


def test_the_bot_speaks_answers_and_is_refused(world: World) -> None:
    server = world.discord
    world.greeter.say(f"<#{WEB}>", "hello, team")
    until(lambda: [sent.text for sent in server.in_channel(WEB)] == ["hello, team"], 30)

    server.say(ANN, "!ping")
    until(lambda: [sent.text for sent in server.in_channel()] == ["pong"], 30)
    server.say(ANN, "!ping", server.direct(ANN))
    until(lambda: [sent.text for sent in server.in_channel(server.direct(ANN))] == ["pong"], 30)

    posts = f"POST /channels/{OPS}/messages"
    server.refuse(posts, 403)
    world.greeter.say(f"<#{OPS}>", "nobody reads this")
    assert server.wait_for_call(posts, 2)[-1].status == 403
    world.bot.process.wait_for_log("Greeter: sent nobody reads this")  # so says the backend
    server.allow()
    server.refuse(posts, 429, times=1, retry_after=0.1)
    world.greeter.say(f"<#{OPS}>", "in a moment")
    until(lambda: server.in_channel()[-1].text == "in a moment", 30)  # discord.py waits and repeats by itself
    assert [call.status for call in server.called(posts)] == [200, 403, 429, 200]


def test_who_has_an_id_of_today_gets_no_answer(world: World) -> None:
    server = world.discord
    server.say(CAROL, "!ping")
    world.bot.process.wait_for_output(f"Invalid Discord user id.*{CAROL}")
    server.say(ANN, "!ping")
    until(lambda: [sent.text for sent in server.in_channel()] == ["pong"], 30)


def test_a_cut_gateway_is_resumed_and_nothing_missed(world: World) -> None:
    server = world.discord
    server.cut()
    server.say(ANN, "!ping")
    until(lambda: [sent.text for sent in server.in_channel()] == ["pong"], 60)
    assert server.session == 1

    server.forget_session()
    server.cut()
    server.wait_for_socket(60)
    server.say(ANN, "!ping")
    until(lambda: len(server.in_channel()) == 2, 60)
    assert not server.in_channel(QUIET)
