"""What waits for what in the background: a person who reacts waits for nobody's crash."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from errbot.backends.base import REACTION_ADDED, Message, Reaction
from errbot.backends.test import TestPerson

from errbot_sentry.app import App
from errbot_sentry.reporting.follow_ups import ReportedError


class Bot:
    """What the app needs of Errbot's backend object, beside a server that takes connections and never answers."""

    mode = "text"
    prefix = "!"
    message_size_limit = 10_000

    def __init__(self, folder: Path, port: int) -> None:
        self.bot_config = SimpleNamespace(
            BOT_DATA_DIR=str(folder),
            BOT_IDENTITY={},
            BOT_PREFIX="!",
            BOT_ADMINS=(),
            SENTRY_URL=f"http://127.0.0.1:{port}",
            SENTRY_SERVER="sentry",
            SENTRY_ORG="acme",
            SENTRY_AUTH_TOKEN="a-token",
            SENTRY_POLL_SECONDS=0,
            SENTRY_PATCH_ERRBOT=False,
        )
        self.asked_for_room = threading.Event()

    def send_simple_reply(self, message: Any, text: str) -> None:
        pass

    def query_room(self, room: str) -> Any:
        self.asked_for_room.set()
        raise LookupError(room)


@pytest.fixture
def hanging() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_a_reaction_waits_for_no_follow_up(tmp_path: Path, hanging: socket.socket) -> None:
    """Sixty people's commands have failed, and the server hangs."""
    bot = Bot(tmp_path, hanging.getsockname()[1])
    app = App(bot, lambda: True, lambda _text: None)
    app.start()
    try:
        said = Message("!x", frm=TestPerson("bob"), to=TestPerson("bot"))
        for number in range(60):
            app._follow_up.reported(ReportedError(f"{number:032x}", said, "x", sent=True))
        hanging.settimeout(30)
        with hanging.accept()[0]:  # the first look-up is under way
            assert app.clicks is not None
            app.clicks.reacted(
                Reaction(
                    reactor=TestPerson("ann"),
                    action=REACTION_ADDED,
                    reacted_to={"ts": "1", "channel": "C1"},
                    reaction_name="eyes",
                )
            )
            assert bot.asked_for_room.wait(30), "the reaction is looked at"
    finally:
        hanging.close()
        app.close()
