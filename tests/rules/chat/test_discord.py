"""What the adapter for Discord decides by itself: rooms' names, handlers beside other plugins', refusals, embeds."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Coroutine
from datetime import datetime, timezone
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from errbot.backends.base import Message
from hypothesis import given
from hypothesis import strategies as st

from errbot_sentry.chat.background_queue import BackgroundQueue
from errbot_sentry.chat.errbot_patches.patches import ErrbotPatches
from errbot_sentry.chat.networks.discord import DiscordNetwork, _mentioned, _refusal
from errbot_sentry.chat.networks.discord_embeds import embed_of
from errbot_sentry.chat.render.escaping import Escape
from errbot_sentry.chat.typed_messages import room_name, thread_of
from errbot_sentry.domain.clock import SystemClock
from errbot_sentry.domain.errors import MessageTooLong, NotAdmitted, RoomUnknown, SendError, SendLimited
from errbot_sentry.domain.outgoing import Card

OPS, SECOND_OPS, FOREIGN_OPS, WEB, THREAD = (500000000000000000 + number for number in range(1, 6))


def _client() -> Any:
    """discord.py's client in two guilds, each with a channel #ops, and one of them with two."""

    def guild(key: int, joined: int, *channels: tuple[int, str]) -> Any:
        me = SimpleNamespace(joined_at=datetime(joined, 1, 1, tzinfo=timezone.utc))
        return SimpleNamespace(id=key, me=me, text_channels=[SimpleNamespace(id=i, name=name) for i, name in channels])

    client = SimpleNamespace()
    client.guilds = [
        guild(1, 2024, (FOREIGN_OPS, "ops")),
        guild(2, 2020, (SECOND_OPS, "ops"), (OPS, "ops"), (WEB, "web")),
    ]
    found = {channel.id: channel for each in client.guilds for channel in each.text_channels}
    found[THREAD] = SimpleNamespace(id=THREAD, name="ops", parent_id=WEB, parent=found[WEB])
    client.get_channel = found.get
    client.intents = SimpleNamespace(members=True, message_content=True)
    client.ws = SimpleNamespace(open=True)
    client.is_ready, client.is_closed = (lambda: True), (lambda: False)
    client.loop = SimpleNamespace(is_running=lambda: True)
    return client


@pytest.fixture
def client() -> Any:
    return _client()


def _network(client: Any) -> DiscordNetwork:
    bot = SimpleNamespace(mode="discord", message_size_limit=2000, client=client)
    return DiscordNetwork(bot, lambda: True, BackgroundQueue("none", SystemClock()))


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Not by asyncio.run, which leaves the thread without a loop for the tests after this."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(work)
    loop.close()


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (str(OPS), "#ops"),
        (f"<#{OPS}>", "#ops"),
        ("#Ops", "#ops"),
        (str(SECOND_OPS), f"<#{SECOND_OPS}>"),  # younger, so nobody gets what is for #ops by making it
        (str(FOREIGN_OPS), f"<#{FOREIGN_OPS}>"),  # in a guild that the bot joined later
        (f"<#{THREAD}>", "#web"),
        ("123456789012345678", "<#123456789012345678>"),
        ("#elsewhere", "#elsewhere"),
        ("#op*", "#op*"),
    ],
)
def test_each_spelling_of_a_room_is_one_room(client: Any, written: str, name: str) -> None:
    assert _network(client).room_named(written) == name


def test_a_thread_is_in_the_room_of_its_channel(client: Any) -> None:
    """Extras are the embeds of the message, a list; by them every command failed."""
    room = SimpleNamespace(client=client, discord_channel=client.get_channel(THREAD))
    typed = Message("!sentry issue", extras=[object()])
    typed._to = room  # its setter wants one of Errbot's classes
    assert (room_name(room, "discord"), thread_of(typed)) == ("#web", str(THREAD))
    typed._to = SimpleNamespace(client=client, discord_channel=client.get_channel(WEB))
    assert thread_of(typed) == ""


def test_handlers_of_other_plugins_still_get_what_happens(client: Any) -> None:
    seen: list[str] = []

    def theirs(name: str) -> Any:
        async def handle(_event: object) -> None:
            seen.append(name)

        return handle

    client.on_interaction = theirs("before")
    network = _network(client)
    for _ in range(2):  # Errbot announces each connection twice
        network.listen(lambda find: seen.append("ours"))
    click = SimpleNamespace(
        data={"custom_id": "sentry:resolve"},
        response=SimpleNamespace(defer=lambda: asyncio.sleep(0)),
        guild_id=1,
        user=SimpleNamespace(id=1),
        channel_id=OPS,
        message=SimpleNamespace(id=2),
    )
    _run(client.on_interaction(click))
    assert seen == ["ours", "before"]
    seen.clear()
    client.on_interaction, replaced = theirs("after"), client.on_interaction
    assert replaced is not client.on_interaction
    network.listen(lambda find: seen.append("ours"))
    _run(client.on_interaction(click))
    assert seen == ["ours", "after"]
    network.close()
    seen.clear()
    _run(client.on_interaction(click))
    assert seen == ["after"]


def test_a_connection_by_which_nothing_arrives_is_shown(client: Any) -> None:
    network = _network(client)
    assert network.trouble() == ""
    client.ws.open = False
    assert "gateway" in network.trouble()
    client.intents.message_content = False
    assert "add message_content to the intents" in network.trouble()


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        ({"status": 403, "code": 50013}, NotAdmitted),
        ({"status": 404, "code": 10003}, RoomUnknown),
        ({"status": 400, "code": 50035, "text": "In content: Must be 2000 or fewer in length."}, MessageTooLong),
        ({"status": 400, "code": 50035, "text": "In nonce: Invalid"}, SendError),
        ({"status": 413, "code": 40005}, MessageTooLong),
        ({"status": 429, "code": 0}, SendLimited),
        ({"retry_after": 7.5}, SendLimited),
        ({"status": 502, "code": 0}, SendError),
        ({}, SendError),
    ],
)
def test_refusals_are_told_apart(raised: dict[str, Any], kind: type[SendError]) -> None:
    error = OSError("discord.py's")
    for name, value in raised.items():
        setattr(error, name, value)
    found = _refusal(error)
    assert type(found) is kind
    assert not isinstance(found, SendLimited) or found.wait == raised.get("retry_after", 30.0)


def test_only_trusted_text_mentions() -> None:
    assert _mentioned("") == {"parse": []}
    assert _mentioned("<@1> <@&2>") == {"parse": [], "users": ["1"], "roles": ["2"]}
    assert _mentioned("@here") == {"parse": ["everyone"], "users": [], "roles": []}


@given(st.text(max_size=700), st.integers(0, 9))
def test_an_embed_fits_and_is_cut_at_no_backslash(text: str, count: int) -> None:
    facts = (("", text), *((f"fact {number}", text) for number in range(count)))
    embed = embed_of(Card(text, text, "", text, text, "error", facts, text, text), Escape("discord"))
    limits = {"title": 256, "description": 4096}
    assert all(len(embed.get(name, "")) <= limit for name, limit in limits.items())
    words = [embed.get("title", ""), embed.get("description", ""), embed.get("footer", {"text": ""})["text"]]
    words += [
        embed["author"]["name"] if "author" in embed else "",
        *(each["value"] for each in embed.get("fields", [])),
    ]
    assert sum(map(len, words)) <= 6000
    assert not any(re.search(r"(?<!\\)(\\\\)*\\…$", word) for word in words)
    assert all(each["name"] and each["value"] for each in embed.get("fields", []))


def test_the_backends_faults_are_mended_and_put_back(monkeypatch: pytest.MonkeyPatch, client: Any) -> None:
    """With the real package: tests/system/test_alerts_on_discord.py."""
    person, room = ModuleType("discordlib.person"), ModuleType("discordlib.room")

    class DiscordRoom:
        client: Any = None

        def __init__(self, channel_id: int) -> None:
            self.id = channel_id

        @classmethod
        def from_id(cls, channel_id: int) -> str:
            return f"whatever is named as {channel_id}"

    person.RE_DISCORD_ID, room.DiscordRoom = re.compile("^[0-9]{18}$"), DiscordRoom
    for each in (person, room):
        monkeypatch.setitem(sys.modules, each.__name__, each)
    DiscordRoom.client = client
    for each in client.guilds:
        for channel in each.text_channels:
            channel.guild = each
    bot = SimpleNamespace(mode="discord", shutdown=lambda: None, disconnect_callback=lambda: None)
    patches = ErrbotPatches(bot, wanted=True, on_shutdown=lambda: None)
    patches.apply()
    assert not patches.failed
    assert person.RE_DISCORD_ID.match("1400000000000000003")
    made: Any = DiscordRoom.from_id(SECOND_OPS)
    assert made.id == SECOND_OPS
    with pytest.raises(ValueError, match="doesn't exist"):
        DiscordRoom.from_id(1)
    patches.undo()
    assert not person.RE_DISCORD_ID.match("1400000000000000003")
    assert DiscordRoom.from_id(OPS).startswith("whatever")
