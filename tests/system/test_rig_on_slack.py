"""The ground for tests on Slack holds: the real backend and slack_sdk receive clicks both ways and meet refusals."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.slack_server import Said, SlackServer
from tests.fakes.slack_signed import send_click
from tests.servers.slack_bot import SlackBot
from tests.servers.tiny_plugin import write_plugin
from tests.waiting import until

OPS, ANN, BOB = "C00OPS", "U00ANN", "U00BOB"

# Posts a message with a button and a menu; whoever clicks is named in the message, and told by themselves.
BUTTONS = '''
import json
from errbot import BotPlugin, botcmd, webhook
from slack_sdk.signature import SignatureVerifier
from slack_sdk.webhook import WebhookClient

OPTIONS = [{"text": {"type": "plain_text", "text": text}, "value": text} for text in ("week", "forever")]
BLOCKS = [{"type": "actions", "block_id": "b7", "elements": [
    {"type": "button", "action_id": "resolve", "value": "17", "text": {"type": "plain_text", "text": "Resolve"}},
    {"type": "overflow", "action_id": "archive", "options": OPTIONS},
]}]


class Buttons(BotPlugin):
    """Answers clicks."""

    def callback_connect(self):  # Errbot calls it twice at each start
        socket = self._bot.slack_socket_mode
        if socket and self.received not in socket.socket_mode_request_listeners:
            socket.socket_mode_request_listeners.append(self.received)

    def received(self, client, request):
        if request.type == "interactive":  # the backend has acknowledged it
            self.clicked(request.payload)

    @webhook("/clicks", raw=True)
    def over_http(self, request):
        secret = self.bot_config.BOT_IDENTITY["signing_secret"]
        if not SignatureVerifier(secret).is_valid_request(request.get_data(), dict(request.headers)):
            return "no", 401
        self.clicked(json.loads(request.form["payload"]))
        return ""

    def clicked(self, payload):
        action, who, where = payload["actions"][0], payload["user"]["id"], payload["channel"]["id"]
        chosen = action.get("selected_option", action)["value"]
        done = f"{action['action_id']} {chosen} by {who}"
        web = self._bot.slack_web
        web.chat_update(channel=where, ts=payload["message"]["ts"], text=done)
        web.chat_postEphemeral(channel=where, user=who, text=f"thank you, {who}")
        WebhookClient(payload["response_url"]).send(text="all saw it", response_type="in_channel")

    @botcmd
    def repeat(self, message, args):
        return f"you said: {args}"

    @botcmd
    def ask(self, message, args):
        self._bot.slack_web.chat_postMessage(channel=args, text="What now?", blocks=BLOCKS)

    @botcmd
    def attempt(self, message, args):
        """Call a method; say how slack_sdk shows the refusal."""
        method, values = args.split(" ", 1)
        try:
            return "done: " + str(self._bot.slack_web.api_call(method, json=json.loads(values))["ok"])
        except Exception as error:
            answer = error.response
            return f"refused: {answer['error']} {answer.status_code} {answer.headers.get('Retry-After')}"
'''


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with SlackServer() as server:
        yield server


@pytest.fixture(params=[True, False], ids=["socket mode", "http"])
def bot(request: pytest.FixtureRequest, tmp_path: Path, slack: SlackServer) -> Iterator[SlackBot]:
    """A bot with a tiny plugin and without ours."""
    plugin = write_plugin(tmp_path, BUTTONS, "Buttons")
    made = SlackBot(tmp_path, slack, plugins=[plugin], socket_mode=request.param)
    with made.process:
        yield made


def _said(slack: SlackServer, text: str) -> Said:
    return until(
        lambda: next((each for each in slack.said if text in each.text), None), 60, lambda: f"{text!r} in {slack.said}"
    )


def test_clicks_reach_a_bot(slack: SlackServer, bot: SlackBot):
    """A person types, clicks, takes an option; the message changes, one person is told, all are told."""
    bot.say(ANN, "!repeat hello", OPS)
    _said(slack, "you said: hello")

    for action, option, chosen in (("resolve", "", "17"), ("archive", "forever", "forever")):
        bot.say(ANN, f"!ask {OPS}", OPS)
        asked = _said(slack, "What now?")
        bot.click(BOB, asked, action, option, address=f"{bot.web}/clicks")
        assert _said(slack, f"{action} {chosen} by {BOB}") is asked
        assert asked.blocks == []  # a text without blocks takes them away
    until(lambda: len(slack.responses) == 2, 30, lambda: f"two answers to response_url, not {slack.responses}")
    assert [(each.user, each.text) for each in slack.whispered] == [(BOB, f"thank you, {BOB}")] * 2
    assert [each.text for each in slack.in_channel(OPS)].count("all saw it") == 2


def test_forged_and_old_clicks_can_be_sent(slack: SlackServer, bot: SlackBot):
    """The stand-in can lie as an attacker would: slack_sdk's own check turns it away, and takes what is honest."""
    bot.say(ANN, f"!ask {OPS}", OPS)
    asked = _said(slack, "What now?")
    payload = slack.click_payload(BOB, asked, "resolve")
    address = f"{bot.web}/clicks"
    assert send_click(address, payload, secret="a guess") == 401
    assert send_click(address, payload, stamp=time.time() - 3600) == 401
    assert asked.texts == ["What now?"]
    assert send_click(address, payload) == 200


def test_each_refusal(slack: SlackServer, bot: SlackBot):
    """Every error reaches slack_sdk as Slack sends it."""
    post = f'!attempt chat.postMessage {{"channel": "{OPS}", "text": "x"}}'

    def answer(command: str) -> str:
        before = len(slack.said)
        bot.say(ANN, command, "C00WEB")
        return until(
            lambda: next((each.text for each in slack.said[before:] if each.channel == "C00WEB"), None),
            60,
            lambda: f"an answer to {command}",
        )

    assert answer(post.replace(OPS, "C00NONE")) == "refused: channel_not_found 200 None"
    slack.left.add(OPS)
    assert answer(post) == "refused: not_in_channel 200 None"
    slack.archived.add(OPS)
    assert answer(post) == "refused: is_archived 200 None"
    slack.left.clear()
    slack.archived.clear()
    slack.limit("chat.update", 7)
    assert (
        answer(f'!attempt chat.update {{"channel": "{OPS}", "ts": "1", "text": "x"}}') == "refused: ratelimited 429 7"
    )


def test_a_socket_comes_back(slack: SlackServer, tmp_path: Path):
    """Slack asks for a new connection, and ends one: slack_sdk connects again, and clicks are received."""
    bot = SlackBot(tmp_path, slack, plugins=[write_plugin(tmp_path, BUTTONS, "Buttons")], socket_mode=True)
    with bot.process:
        for end in (slack.socket.refresh, slack.socket.close):
            before = len(slack.socket.sessions)
            end()
            until(lambda seen=before: len(slack.socket.sessions) > seen, 60, "a new connection")
            bot.say(ANN, f"!ask {OPS}", OPS)
            bot.click(ANN, _said(slack, "What now?"), "resolve")
            _said(slack, "resolve 17 by U00ANN")
            slack.said.clear()
