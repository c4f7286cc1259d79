"""The rig for Mattermost: the real backend and driver against the stand-in, without our plugin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fakes.http_server import HttpServer, Reply, Request, as_json
from tests.fakes.mattermost_server import MattermostServer
from tests.fakes.mattermost_team import ANN, BOT, OPS, QUIET, WEB
from tests.servers.certificates import self_made
from tests.servers.mattermost_bot import MattermostBot
from tests.servers.network_bot import Failed, Greeter
from tests.waiting import until


class World:
    """Mattermost, and a bot that can only speak and answer."""

    def __init__(self, folder: Path, ends: ExitStack, certificate: Path | None = None) -> None:
        self.mattermost = MattermostServer(certificate)
        ends.enter_context(self.mattermost)
        self.greeter = Greeter(folder)
        self.bot = MattermostBot(folder, self.mattermost, [self.greeter.folder], trust=certificate)
        ends.enter_context(self.bot.process)
        self.mattermost.wait_for_socket()


@pytest.fixture(params=["http", "https"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    certificate = self_made(tmp_path / "server.pem") if request.param == "https" else None
    with ExitStack() as ends:
        yield World(tmp_path, ends, certificate)


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


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """For tests that only call."""
    with ExitStack() as ends:
        yield World(tmp_path_factory.mktemp("shared"), ends)


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as ends:
        yield World(tmp_path, ends)


def test_a_close_heals_by_itself_and_an_abrupt_cut_leaves_the_bot_deaf(plain: World) -> None:
    server, greeter = plain.mattermost, plain.greeter
    greeter.run("""
        import asyncio
        bot.register_handler("hello", lambda told: setattr(bot, "loop", asyncio.get_running_loop()))
    """)
    server.close_sockets()
    server.wait_for_socket(60)
    server.say(ANN, "!ping")
    until(lambda: server.in_channel(), 30)

    server.cut()
    deaf = "import asyncio; return bot.loop.is_running() and not asyncio.all_tasks(bot.loop)"
    until(lambda: greeter.run(deaf), 30)  # the main thread runs a loop with nothing in it
    greeter.say("~ops", "I still speak")
    assert server.in_channel()[-1].message == "I still speak"
    assert not server.sockets

    greeter.run("bot.loop.call_soon_threadsafe(bot.loop.stop)")
    server.wait_for_socket(60)
    server.say(ANN, "!ping")
    until(lambda: server.in_channel()[-1].message == "pong", 30)


def test_a_network_that_is_away_and_comes_back(shared: World) -> None:
    shared.mattermost.offline = True
    with pytest.raises(Failed, match="ConnectionError"):
        shared.greeter.say("~ops", "is anybody there?")
    shared.mattermost.offline = False
    shared.greeter.say("~ops", "there you are")
    assert shared.mattermost.in_channel()[-1].message == "there you are"


def test_an_answer_that_is_lost_was_delivered_all_the_same(plain: World) -> None:
    server = plain.mattermost
    server.lose_answer("POST /posts")
    with pytest.raises(Failed, match="ConnectionError"):
        plain.greeter.say("~ops", "did you get this?")
    until(lambda: [post.message for post in server.in_channel()] == ["did you get this?"], 30)
    assert [call.status for call in server.called("POST /posts")] == [0]


def test_the_drivers_calls_reach_the_stand_in_and_a_click_is_answered(plain: World) -> None:
    server = plain.mattermost
    asked = []

    def answer(request: Request) -> Reply:
        asked.append(request.json)
        update = {"message": "", "props": {"attachments": [{"title": "resolved by ann", "color": "#00aa00"}]}}
        return as_json({"update": update, "ephemeral_text": "done"})

    with HttpServer(answer) as integration:
        button = {"id": "resolve", "type": "button", "name": "Resolve"}
        button["integration"] = {"url": f"{integration.url}/click", "context": {"secret": "s", "issue": "7"}}
        dashed = {**button, "id": "silence_1h"}
        props = {"attachments": [{"title": "ValueError", "color": "#ff0000", "actions": [button, dashed]}]}
        key, shown = plain.greeter.run(f"""
            posts, channel = bot.driver.posts, {OPS!r}
            file = ("chart.png", bytes(range(256)) * 9, "image/png")
            files = bot.driver.files.upload_file(channel_id=channel, files={{"files": file}})
            head = posts.create_post(options={{"channel_id": channel, "message": "it broke", "props": {props!r}}})
            posts.create_post(options={{
                "channel_id": channel, "message": "chart", "root_id": head["id"],
                "file_ids": [files["file_infos"][0]["id"]],
            }})
            posts.patch_post(head["id"], options={{"message": "it broke twice"}})
            bot.driver.reactions.create_reaction(
                options={{"user_id": bot.userid, "post_id": head["id"], "emoji_name": "eyes"}}
            )
            return head["id"], head["props"]["attachments"][0]["actions"][0]
        """)
        head, reply = server.in_channel()
        assert (head.id, head.message, head.root, reply.root) == (key, "it broke twice", "", key)
        assert (head.props, head.reactions) == (props, [(BOT, "eyes")])
        (file,) = (server.team.files[each] for each in reply.files)
        assert (file.name, file.type, file.content) == ("chart.png", "image/png", bytes(range(256)) * 9)
        assert shown == {"id": "resolve", "type": "button", "name": "Resolve"}  # nobody gets to see the context

        assert server.click(ANN, key, "resolve").status == 200
        assert server.click(ANN, key, "silence_1h").status == 404
    assert [(each["user_name"], each["context"], each["post_id"]) for each in asked] == [
        ("ann", {"secret": "s", "issue": "7"}, key)
    ]
    assert head.props["attachments"][0]["title"] == "resolved by ann"
    assert server.ephemeral == [(ANN, "done")]
    assert server.click(ANN, key, "resolve").status == 404  # the button has gone with the update


def test_a_reaction_is_received(plain: World) -> None:
    plain.greeter.say("~ops", "it broke")
    (post,) = plain.mattermost.in_channel()
    plain.greeter.run("""
        bot.register_handler("reaction_added", lambda told: bot.driver.posts.create_post(
            options={"channel_id": told["broadcast"]["channel_id"], "message": told["data"]["reaction"]}))
    """)
    plain.mattermost.react(ANN, "eyes", post.id)
    until(lambda: '"emoji_name": "eyes"' in plain.mattermost.in_channel()[-1].message, 30)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"channel_id": QUIET, "message": "x"}, "NotEnoughPermissions: .*permissions"),
        ({"channel_id": "nowhere", "message": "x"}, "NotEnoughPermissions: .*permissions"),
        ({"channel_id": OPS, "message": "x" * 16384}, "InvalidOrMissingParameters: .*message_length"),
        ({"channel_id": OPS, "message": "x", "root_id": WEB}, "InvalidOrMissingParameters: .*root_id"),
    ],
)
def test_mattermost_refuses_what_it_does_not_take(shared: World, options: dict[str, str], words: str) -> None:
    with pytest.raises(Failed, match=words):
        shared.greeter.run(f"return bot.driver.posts.create_post(options={options!r})")


def test_a_refusal_for_haste_says_when(shared: World) -> None:
    shared.mattermost.refuse("POST /posts", 429, times=1, retry_after=7)
    assert shared.greeter.run(f"""
        import requests
        try:
            bot.driver.posts.create_post(options={{"channel_id": {OPS!r}, "message": "x"}})
        except requests.HTTPError as refused:
            return refused.response.status_code, refused.response.headers["Retry-After"], refused.response.text
    """) == [429, "7", "limit exceeded\n"]
