"""Files that go along with words: where they cannot be made or sent, the words are shown."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from errbot.backends.test import TestPerson

from errbot_sentry.chat.background_queue import BackgroundQueue
from errbot_sentry.chat.networks.selection import network_of
from errbot_sentry.domain.conversation import Upload


class Bot:
    """What a network needs of Errbot's backend object."""

    mode, message_size_limit = "test", 10_000

    def __init__(self) -> None:
        self.sent: list[tuple[Any, bytes, str]] = []

    def send_stream_request(self, target: Any, file: Any, *, name: str, size: int, stream_type: str) -> None:
        content = file.read()
        assert len(content) == size
        assert stream_type in ("image/png", "text/plain")
        self.sent.append((target, content, name))


def send(bot: Bot, upload: Upload) -> bool:
    return network_of(bot, lambda: True, BackgroundQueue()).upload(TestPerson("bob"), upload)


def test_a_file_goes_to_where_it_was_asked_for() -> None:
    bot = Bot()
    assert send(bot, Upload("events.png", "image/png", lambda: b"PNG"))
    assert [(str(target), content, name) for target, content, name in bot.sent] == [("bob", b"PNG", "events.png")]


def test_a_text_file_carries_no_control_codes() -> None:
    """`trace --full`: a terminal that shows the file would obey them. A picture is sent as it is."""
    bot = Bot()
    raw = "a\x1b[31m\u202eb\n\tc\x07".encode()
    assert send(bot, Upload("WEB-1.txt", "text/plain", lambda: raw + b"\xff"))
    assert send(bot, Upload("x.png", "image/png", lambda: raw))
    assert [content for _, content, _ in bot.sent] == ["a[31mb\n\tc\ufffd".encode(), raw]


def test_a_chart_that_cannot_be_drawn_is_no_failure_of_the_command(caplog: pytest.LogCaptureFixture) -> None:
    """matplotlib may be there and yet not be importable: built for another NumPy, say."""

    def broken() -> bytes:
        raise ImportError("numpy.core.multiarray failed to import")

    bot = Bot()
    with caplog.at_level(logging.WARNING):
        assert not send(bot, Upload("events.png", "image/png", broken))
    assert bot.sent == []
    assert "events.png could not be made or sent" in caplog.text
