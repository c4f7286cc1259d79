"""The rig for Mattermost: the real backend and driver against the stand-in, without our plugin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fakes.mattermost_server import MattermostServer
from tests.fakes.mattermost_team import ANN
from tests.servers.certificates import self_made
from tests.servers.mattermost_bot import MattermostBot
from tests.servers.network_bot import Greeter
from tests.waiting import until


class World:
    """Mattermost, and a bot that can only speak and answer."""

    def __init__(self, folder: Path, certificate: Path | None = None) -> None:
        self.mattermost = MattermostServer(certificate)
        self.greeter = Greeter(folder)
        self.bot = MattermostBot(folder, self.mattermost, [self.greeter.folder], trust=certificate)

    def start(self, ends: ExitStack) -> World:
        ends.enter_context(self.mattermost)
        ends.enter_context(self.bot.process)
        self.mattermost.wait_for_socket()
        return self


@pytest.fixture(params=["http", "https"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    certificate = self_made(tmp_path / "server.pem") if request.param == "https" else None
    with ExitStack() as ends:
        yield World(tmp_path, certificate).start(ends)


def test_the_bot_speaks_answers_and_is_refused(world: World) -> None:
    server = world.mattermost
    world.greeter.say("~ops", "hello, team")
    until(lambda: [post.message for post in server.in_channel()] == ["hello, team"], 30)

    server.say(ANN, "!ping")
    until(lambda: "pong" in server.in_channel()[-1].message, 30)

    server.refuse("POST /posts", 403, times=1)
    world.greeter.say("~ops", "nobody reads this")
    until(lambda: server.called("POST /posts")[-1].refused, 30)
    assert len(server.in_channel()) == 2

    direct = server.direct(ANN)
    server.say(ANN, "!ping", direct)
    until(lambda: [post.message for post in server.in_channel(direct)] == ["pong"], 30)


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as ends:
        yield World(tmp_path).start(ends)


def test_an_abrupt_cut_leaves_the_bot_deaf_and_a_close_does_not(plain: World) -> None:
    server = plain.mattermost
    server.close_sockets()
    server.wait_for_socket(60)
    server.say(ANN, "!ping")
    until(lambda: server.in_channel(), 30)

    server.cut()
    plain.greeter.say("~ops", "I still speak")
    until(lambda: server.in_channel()[-1].message == "I still speak", 30)
    assert not server.sockets


def test_an_answer_that_is_lost_was_delivered_all_the_same(plain: World) -> None:
    server = plain.mattermost
    server.lose_answer("POST /posts")
    plain.greeter.say("~ops", "did you get this?")
    until(lambda: [post.message for post in server.in_channel()] == ["did you get this?"], 30)
    assert [call.status for call in server.called("POST /posts")] == [0]
