"""A process with the alert flow in it, to be killed: its chat is a file, its webhooks come by standard input.

    python bot.py STATE_URL CHAT_FILE UP_FILE

The chat is connected while UP_FILE exists. Each line on standard input is a JSON list [headers, body] and is answered
with a status, or the word "status", answered with the flow's status as JSON.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from errbot_sentry.alerting.service import AlertService
from errbot_sentry.config.routes import read_route
from errbot_sentry.config.secrets import Secret
from errbot_sentry.config.settings import AlertSettings
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.clock import SystemClock
from errbot_sentry.domain.conversation import Upload
from errbot_sentry.domain.errors import Unreachable
from errbot_sentry.domain.outgoing import Outgoing
from errbot_sentry.server.protocol import Server
from errbot_sentry.store.database import Store

SECRET = "a-client-secret-of-32-characters"


class FileChat:
    """A room that is a file."""

    settle = 0.0
    has_threads = True

    def __init__(self, chat: Path, up: Path) -> None:
        self._chat = chat
        self._up = up

    def is_silent(self) -> bool:
        return False

    def connection(self) -> str:
        return "up" if self._up.exists() else ""

    def post(self, room: str, message: Outgoing, thread: str = "") -> str:
        with self._chat.open("a") as file:
            file.write(f"{room} {message.whole} {thread}".strip() + "\n")
        return "an id"

    def edit(self, room: str, sent_id: str, message: Outgoing) -> bool:
        return False

    def send_file(self, room: str, upload: Upload) -> None:
        """A file takes no pictures."""


class PlainRenderer:
    """Values without markup."""

    def render(self, template: str, values: Mapping[str, object]) -> str:
        return f"{template} {values.get('short_id', '')}"


def no_server() -> Server:
    raise Unreachable("There is no server here.")


def main() -> None:
    url, chat, up = sys.argv[1:]
    settings = AlertSettings(
        routes=(read_route({"rooms": ["#ops"]}),), webhook_secrets=(Secret(SECRET),), poll_seconds=0
    )
    sender = FileChat(Path(chat), Path(up))
    flow = AlertService(settings, Access(), Store(url), no_server, sender, PlainRenderer(), SystemClock())
    flow.start()
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "status":
            print(json.dumps(dataclasses.asdict(flow.status()), default=str), flush=True)
            continue
        headers, body = json.loads(line)
        print(flow.receiver.take(headers, body.encode(), None).status, flush=True)
    flow.close()


if __name__ == "__main__":
    main()
