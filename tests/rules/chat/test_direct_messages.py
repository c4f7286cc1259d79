"""A direct message goes to the person, and only as long as Errbot lets that person see issues."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from errbot.backends.base import Message
from errbot.backends.test import TestPerson

from errbot_sentry.chat.background_queue import BackgroundQueue
from errbot_sentry.chat.networks.errbot_network import ErrbotNetwork
from errbot_sentry.domain.conversation import Conversation, direct_room
from errbot_sentry.domain.errors import NotAdmitted
from errbot_sentry.domain.outgoing import Outgoing


class Plugin:
    """Ours, as far as Errbot's table of commands shows it."""

    name = "SentryReporter"

    def sentry_issue(self) -> None:
        """The command whose rights count."""


class Bot(SimpleNamespace):
    """What is needed of Errbot's backend object; `allowed` is what its ACCESS_CONTROLS say."""

    mode, message_size_limit, allowed = "test", 10_000, True
    all_commands = {"sentry_issue": Plugin().sentry_issue}  # noqa: RUF012 - never changed
    bot_identifier = TestPerson("bot")
    build_identifier = staticmethod(TestPerson)
    build_message = staticmethod(Message)

    def send_message(self, message: Message) -> None:
        self.sent.append(message)

    def _process_command_filters(self, message: Message, name: str, words: str, dry_run: bool) -> Any:
        assert (str(message.frm), message.is_direct, dry_run) == ("ann", True, True)
        return (message, name, words) if self.allowed else (None, None, None)


def test_a_direct_message_is_for_the_person_and_errbots_own_rules_are_asked_each_time() -> None:
    bot = Bot(sent=[])
    network = ErrbotNetwork(bot, lambda: True, BackgroundQueue())
    room = direct_room("ann")
    network.post(room, Outgoing("for ann"))
    assert [(str(each.to), each.is_direct, each.body) for each in bot.sent] == [("ann", True, "for ann")]
    bot.allowed = False
    with pytest.raises(NotAdmitted, match="ACCESS_CONTROLS"):
        network.post(room, Outgoing("for ann"))
    assert len(bot.sent) == 1
    assert Conversation(room).is_direct
