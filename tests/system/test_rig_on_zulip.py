"""The ground for tests on Zulip holds: the real client package against the stand-in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.zulip_server import BOT, Refusal, ZulipServer
from tests.servers.zulip_client import run_with_zulip
from tests.waiting import until

ANN, BOB = 8, 9

# Answers `!repeat`, as a bot does: in the same topic, or to the person alone; says which reactions it receives.
BOT_SCRIPT = """
def received(event):
    if event["type"] == "reaction":
        words = f"{event['op']} {event['emoji_name']} by {event['user_id']} under {event['message_id']}"
        client.send_message({"type": "stream", "to": "web", "topic": "received", "content": words})
    elif event["message"]["content"].startswith("!repeat "):
        asked = event["message"]
        reply = {"content": "you said: " + asked["content"][8:]}
        if asked["type"] == "stream":
            reply |= {"type": "stream", "to": asked["display_recipient"], "topic": asked["subject"]}
        else:
            reply |= {"type": "direct", "to": [asked["sender_id"]]}
        client.send_message(reply)

client.call_on_each_event(received, event_types=["message", "reaction"])
"""


@pytest.fixture
def zulip() -> Iterator[ZulipServer]:
    with ZulipServer() as server:
        yield server


def _result(folder: Path, zulip: ZulipServer, source: str) -> Any:
    """What a script leaves in `result`."""
    script = run_with_zulip(folder, zulip, f"{source}\nprint('result ' + json.dumps(result))\n")
    code = until(lambda: script.popen.poll() is not None and (script.popen.returncode,), 60, script.tail)
    script.kill()
    assert code == (0,), script.tail()
    return json.loads(script.log.read_text().rpartition("result ")[2])


def test_a_client_listens_and_answers(zulip: ZulipServer, tmp_path: Path):
    """In a topic, alone, about a reaction; and again after its event queue has gone."""

    def said(content: str) -> Any:
        return until(
            lambda: next((each for each in zulip.messages if each.content == content), None),
            60,
            lambda: f"{content!r} in {zulip.messages}; {script.tail()}",
        )

    script = run_with_zulip(tmp_path, zulip, BOT_SCRIPT)
    try:
        until(lambda: zulip.queues.count, 60, script.tail)
        zulip.say(ANN, "!repeat hello", "ops", "SHOP-1")
        answer = said("you said: hello")
        assert (answer.channel, answer.topic, answer.sender) == ("ops", "SHOP-1", BOT)
        zulip.say(BOB, "!repeat psst")
        assert said("you said: psst").to == [BOT, BOB]
        zulip.react(ANN, answer, "check")
        said(f"add check by {ANN} under {answer.id}")

        zulip.queues.forget()
        until(lambda: zulip.queues.count, 60, script.tail)
        zulip.say(ANN, "!repeat again", "ops", "SHOP-1")
        said("you said: again")
    finally:
        script.kill()


def test_what_a_client_can_do(zulip: ZulipServer, tmp_path: Path):
    """Post into a topic, edit, react, upload; too long words are cut."""
    source = """
import io
posted = client.send_message({"type": "stream", "to": "ops", "topic": "SHOP-1 " + "x" * 60, "content": "y" * 10001})
file = io.BytesIO(b"a picture"); file.name = "chart.png"
result = [posted, client.update_message({"message_id": posted["id"], "content": "resolved"}),
    client.add_reaction({"message_id": posted["id"], "emoji_name": "check"}), client.upload_file(file)]
"""
    results = _result(tmp_path, zulip, source)
    assert [each["result"] for each in results] == ["success"] * 4
    (message,) = zulip.messages
    assert (len(message.topic), message.topic[-4:]) == (60, "x...")
    assert (len(message.contents[0]), message.contents[0][-11:]) == (10_000, " truncated]")
    assert (message.content, message.reactions) == ("resolved", [("check", BOT)])
    assert zulip.uploads[results[3]["url"]] == b"a picture"


def test_each_refusal(zulip: ZulipServer, tmp_path: Path):
    """The client returns refusals as dictionaries; it does not raise."""
    zulip.closed.add("web")
    bob = zulip.say(BOB, "mine", "ops", "t")
    zulip.limit("POST messages/N/reactions", 2.5)
    zulip.refuse("GET users/me", Refusal("USER_DEACTIVATED", "Account is deactivated", 401))
    source = f"""
def post(to, content="x"):
    return client.send_message({{"type": "stream", "to": to, "topic": "t", "content": content}})

result = [post("none"), post("web"), post("ops", " "),
    client.update_message({{"message_id": {bob.id}, "content": "x"}}),
    client.update_message({{"message_id": 5, "content": "x"}}),
    client.add_reaction({{"message_id": {bob.id}, "emoji_name": "check"}}), client.get_profile()]
client.api_key = "wrong"
client.session = None
result.append(post("ops"))
"""
    results = _result(tmp_path, zulip, source)
    assert {each["result"] for each in results} == {"error"}
    assert [(each["code"], each["msg"]) for each in results] == [
        ("STREAM_DOES_NOT_EXIST", "Channel 'none' does not exist"),
        ("BAD_REQUEST", "Not authorized to send to channel 'web'"),
        ("BAD_REQUEST", "Message must not be empty"),
        ("BAD_REQUEST", "You don't have permission to edit this message"),
        ("BAD_REQUEST", "Invalid message(s)"),
        ("RATE_LIMIT_HIT", "API usage exceeded rate limit"),
        ("USER_DEACTIVATED", "Account is deactivated"),
        ("INVALID_API_KEY", "Invalid API key"),
    ]
    assert results[5]["retry-after"] == 2.5
