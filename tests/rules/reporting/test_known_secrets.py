"""Which secrets of the bot itself are masked wherever they stand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from errbot_sentry.app import _secrets_of_chat
from errbot_sentry.config.settings import read_settings


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


@pytest.mark.parametrize(
    ("url", "known"),
    [
        ("mailtos://bot:hunter2+hunter2@mail.example.com", {"hunter2+hunter2"}),
        ("mailtos://b%40x.org:pa%3Ass%2Fword@mail.example.com?pass=another-one", {"pa:ss/word", "another-one"}),
        ("ntfys://tk_AgQdq7mVBoFD37zQ@ntfy.example.com/secret-topic", {"tk_AgQdq7mVBoFD37zQ", "secret-topic"}),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", {"T1JJ3T3L2", "TIiajkdnlazkcOXrIdevi7FQ"}),
        ("tgram://123456789:AAF_abcdefg/12345678", {"AAF_abcdefg", "12345678"}),
    ],
)
def test_where_the_fallback_sends(url: str, known: set[str]) -> None:
    """The whole address, and what a service's library may log or raise alone; not the host."""
    settings = read_settings(SimpleNamespace(SENTRY_FALLBACK=[{"urls": [url]}]), {})
    found = {secret.reveal() for secret in settings.secrets()}
    assert {url, *known} <= found
    assert not {"mail.example.com", "ntfy.example.com"} & found
