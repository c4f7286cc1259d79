"""The ground for tests on Matrix holds: a real Synapse, a real Errbot with the backend from PyPI, and people."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.matrix_bot import MatrixBot
from tests.servers.matrix_client import MatrixPerson, Refused
from tests.servers.network_bot import Greeter
from tests.servers.synapse import Synapse


@pytest.fixture
def ann(synapse: Synapse) -> MatrixPerson:
    return synapse.register("ann")


@pytest.fixture
def greeter(tmp_path: Path) -> Greeter:
    return Greeter(tmp_path)


@pytest.fixture
def bot(tmp_path: Path, synapse: Synapse, ann: MatrixPerson, greeter: Greeter) -> Iterator[MatrixBot]:
    """A bot with a tiny plugin and without ours."""
    made = MatrixBot(tmp_path, synapse, [greeter.folder], admins=(ann.id,))
    with made.process:
        yield made


def test_a_bot_answers_and_posts_in_a_room(synapse: Synapse, ann: MatrixPerson, bot: MatrixBot, greeter: Greeter):
    """The backend receives a command, answers, posts by id and by alias; after a kick it is refused."""
    room = ann.create_room("ops")
    bot.enter(room, ann)

    ann.send(room, "!ping")
    answer = ann.wait_for(room, "pong")
    assert answer.sender == bot.id

    for address in (room, "#ops:chat.test"):
        greeter.say(address, f"to {address[0]}")
        assert ann.wait_for(room, f"^to {address[0]}").kind == "m.text"

    ann.kick(room, bot.id)
    with pytest.raises(Refused) as refused:
        bot.account.send(room, "may I?")
    assert (refused.value.status, refused.value.code) == (403, "M_FORBIDDEN")


def test_what_a_person_sees(synapse: Synapse, ann: MatrixPerson):
    """Threads, answers, edits, reactions, mentions and pictures are read as a client shows them."""
    bob = synapse.register("bob")
    room = ann.create_room("ops", invite=(bob.id,))
    bob.join("#ops:chat.test")

    root = ann.send(room, "first", **{"m.mentions": {"user_ids": [bob.id]}})
    under = bob.send(room, "under it", thread=root)
    ann.send(room, "an answer", reply_to=under)
    ann.edit(room, root, "second")
    bob.react(room, root, "✅")
    taken_back = ann.react(room, root, "✅")
    ann.redact(room, taken_back)
    picture = b"\x89PNG not really"
    url = ann.api("POST", "/_matrix/media/v3/upload", picture, content_type="image/png", filename="a.png")
    ann.send(room, "a.png", msgtype="m.image", url=url["content_uri"])

    first, second, third, image = ann.read(room)
    assert (first.text, first.thread, first.reactions) == ("second", "", {"✅": [bob.id]})
    assert first.event["content"]["m.mentions"] == {"user_ids": [bob.id]}
    assert (second.text, second.thread, second.reply_to) == ("under it", root, "")
    assert (third.thread, third.reply_to) == ("", under)
    assert image.kind == "m.image"
    assert ann.download(image.url) == picture


def test_each_refusal(synapse: Synapse, ann: MatrixPerson):
    """The server says no in each way that an adapter has to know."""
    bob = synapse.register("bob")
    room = ann.create_room("ops")
    bob.join(room)

    def refusal(where: str = room, text: str = "x") -> tuple[int, str]:
        for _ in range(20):  # the brake lets some through
            try:
                bob.send(where, text)
            except Refused as refused:
                return refused.status, refused.code
        return 200, ""

    assert refusal(text="x" * 70_000) == (413, "M_TOO_LARGE")
    assert refusal("!nowhere:chat.test") == (403, "M_FORBIDDEN")
    synapse.limit_rate(bob.id)
    assert refusal() == (429, "M_LIMIT_EXCEEDED")
    synapse.unlimit_rate(bob.id)
    ann.set_level(room, bob.id, -1)
    assert refusal() == (403, "M_FORBIDDEN")
    ann.set_level(room, bob.id, 0)
    bob.send(room, "again")
    synapse.delete_room(room)
    assert refusal() == (403, "M_FORBIDDEN")
    synapse.log_out(bob.id)
    assert refusal() == (401, "M_UNKNOWN_TOKEN")


def test_a_server_comes_back_with_what_it_had(synapse: Synapse, ann: MatrixPerson):
    """Port, accounts and rooms stay over a `kill -9`."""
    room = ann.create_room("ops")
    ann.send(room, "before")
    synapse.kill()
    synapse.start()
    ann.send(room, "after")
    assert [each.text for each in ann.read(room)] == ["before", "after"]
