"""Which secrets of the bot itself are masked wherever they stand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from errbot_sentry.app import _secrets_of_chat


@pytest.mark.parametrize(
    ("identity", "known"),
    [
        ({"token": "123456:chat-token", "nickname": "errbot-the-second"}, ["123456:chat-token"]),
        ({"username": "bot@example.com", "password": "correct horse"}, ["correct horse"]),
        ({"token": "xoxb-chat-token", "app_token": "xapp-chat-token"}, ["xoxb-chat-token", "xapp-chat-token"]),
        ({"password": "errbot"}, []),  # a word: it would be masked in every path
        ({"password": None, 1: "no name at all"}, []),
        (None, []),
    ],
    ids=["telegram", "xmpp", "slack", "short", "odd", "none"],
)
def test_what_the_bot_logs_in_with(identity: object, known: list[str]) -> None:
    assert list(_secrets_of_chat(SimpleNamespace(BOT_IDENTITY=identity))) == known
