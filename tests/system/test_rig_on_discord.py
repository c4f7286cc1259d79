"""The rig for Discord: the real backend and library against the stand-in, without our plugin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.discord_guild import ANN, CAROL, OPS, QUIET, WEB
from tests.fakes.discord_server import DiscordServer
from tests.servers.discord_bot import DiscordBot
from tests.servers.network_bot import Failed, Greeter
from tests.waiting import until


class World:
    """Discord, and a bot that can only speak and answer."""

    def __init__(self, folder: Path, ends: ExitStack) -> None:
        self.discord = DiscordServer()
        ends.enter_context(self.discord)
        self.greeter = Greeter(folder)
        self.bot = DiscordBot(folder, self.discord, [self.greeter.folder])
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
    world.greeter.say(f"<#{OPS}>", "nobody reads this")  # without an error: the backend drops it
    assert server.wait_for_call(posts, 2)[-1].status == 403
    server.allow()
    server.refuse(posts, 429, times=1, retry_after=0.1)
    world.greeter.say(f"<#{OPS}>", "in a moment")
    until(lambda: server.in_channel()[-1].text == "in a moment", 30)  # discord.py waits and repeats by itself
    assert [call.status for call in server.wait_for_call(posts, 4)] == [200, 403, 429, 200]


# The work is a coroutine's body, run in the client's own loop.
_IN_THE_LOOP = """
import asyncio, discord, io
client = bot.client
channel = client.get_channel({channel})
async def work():
    {work}
return asyncio.run_coroutine_threadsafe(work(), client.loop).result(20)
"""


def _run(world: World, *steps: str, channel: int = OPS) -> Any:
    return world.greeter.run(_IN_THE_LOOP.format(channel=channel, work="\n    ".join(steps)))


def test_the_librarys_calls_reach_the_stand_in(world: World) -> None:
    server = world.discord
    key = _run(
        world,
        "view = discord.ui.View(timeout=None)",
        "view.add_item(discord.ui.Button(label='Resolve', custom_id='resolve:7'))",
        "embed = discord.Embed(title='ValueError', url='https://s.example/1', colour=0xFF0000)",
        "embed.add_field(name='users', value='3')",
        "file = discord.File(io.BytesIO(bytes(range(256)) * 9), 'chart.png')",
        "sent = await channel.send('it broke', embed=embed, view=view, file=file)",
        "await sent.create_thread(name='ValueError', auto_archive_duration=1440)",
        "await client.get_channel(sent.id).send('and again')",
        "await channel.get_partial_message(sent.id).edit(content='it was mended')",
        "await channel.get_partial_message(sent.id).add_reaction('✅')",
        "return sent.id",
    )
    (sent,) = server.in_channel()
    assert (sent.id, sent.text, sent.buttons) == (key, "it was mended", {"Resolve": "resolve:7"})
    assert sent.embeds[0]["fields"] == [{"inline": True, "name": "users", "value": "3"}]
    assert [(file.name, file.content) for file in sent.files.values()] == [("chart.png", bytes(range(256)) * 9)]
    assert [each.text for each in server.in_channel(key)] == ["and again"]
    assert [emoji for _, emoji in sent.reactions] == ["✅"]


def test_a_click_is_answered_once_and_a_reaction_received(world: World) -> None:
    server = world.discord
    _run(
        world,
        "async def on_interaction(click):",
        "    await click.response.send_message(f'not you, {click.user.name}', ephemeral=True)",
        "async def on_raw_reaction_add(seen):",
        "    await client.get_channel(seen.channel_id).send(f'{seen.user_id} {seen.emoji}')",
        "client.event(on_interaction); client.event(on_raw_reaction_add)",
        "view = discord.ui.View(timeout=None)",
        "view.add_item(discord.ui.Button(label='Resolve', custom_id='resolve:7'))",
        "await channel.send('it broke', view=view)",
    )
    (sent,) = server.in_channel()
    click = server.click(ANN, sent, sent.buttons["Resolve"])
    until(lambda: click.ephemeral == "not you, ann", 30)
    server.react(ANN, "👀", sent)
    until(lambda: server.in_channel()[-1].text == f"{ANN} 👀", 30)


def test_discord_refuses_what_is_too_long_and_where_it_may_not(world: World) -> None:
    with pytest.raises(Failed, match=r"HTTPException: 400 Bad Request .error code: 50035"):
        _run(world, "await channel.send('x' * 2001)")
    with pytest.raises(Failed, match=r"Forbidden: 403 Forbidden .error code: 50001.: Missing Access"):
        _run(world, f"await (await client.fetch_channel({QUIET})).send('hello')")
    with pytest.raises(Failed, match=r"NotFound: 404 Not Found .error code: 10008.: Unknown Message"):
        _run(world, "await channel.get_partial_message(1).edit(content='hello')")


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
