"""The reply to a person whose command failed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from errbot.backends.base import Message

from errbot_sentry.chat.background_queue import BackgroundQueue
from errbot_sentry.chat.error_replies import FollowUp
from errbot_sentry.chat.render.layout import Layout
from errbot_sentry.chat.render.templates import Replies, Templates
from errbot_sentry.domain.clock import SystemClock
from errbot_sentry.reporting.follow_ups import ReportedError
from tests.rules.commands.world import issue
from tests.waiting import until


@pytest.mark.parametrize("announced", [True, False])
def test_the_address_comes_once_where_a_notification_has_it_too(announced: bool) -> None:
    said: list[str] = []
    bot: Any = SimpleNamespace(mode="text", send_simple_reply=lambda _message, text: said.append(text))
    background = BackgroundQueue()
    replies = Replies(Templates("text"), Layout("text", 4000))
    follow_up = FollowUp(
        bot, replies, background, lambda _event, _where: issue(1), lambda _issue, _where: announced, SystemClock()
    )
    background.start()
    follow_up.reported(ReportedError("e" * 32, Message("!boom", to=SimpleNamespace()), "boom", sent=True))
    until(lambda: bool(said), 10, "the reply")
    background.close(5)
    assert f"(event {'e' * 32})" in said[0]
    assert (issue(1).link in said[0]) is not announced
