"""A web server with webhooks, for `alerts_webhook`: one of "full", "trivial", "errbot". Prints its port when ready.

full: our listener with the whole alert flow on SQLite behind it. trivial: our listener, a receiver that only says 202.
errbot: a handler that only says 202 on werkzeug with a thread per request, as Errbot's web server runs it.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from errbot_sentry.alerting.receive.receiver import WebhookAnswer
from errbot_sentry.alerting.service import AlertService
from errbot_sentry.chat.render.templates import Templates
from errbot_sentry.config.routes import read_route
from errbot_sentry.config.settings import AlertSettings
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.clock import SystemClock
from errbot_sentry.domain.outgoing import Outgoing
from errbot_sentry.store.database import Store
from errbot_sentry.web.application import Web
from errbot_sentry.web.listener import Listener
from tests.alerting import bodies
from tests.alerting.bot import no_server


class Trivial:
    """A receiver that does nothing."""

    def take(self, headers: Mapping[str, str], body: bytes, token: str | None = None) -> WebhookAnswer:
        return WebhookAnswer(202, "Stored.")


class Silence:
    """A chat that takes everything at once."""

    settle = 0.0
    has_threads = True

    def is_silent(self) -> bool:
        return False

    def connection(self) -> str:
        return "up"

    def post(self, room: str, message: Outgoing, thread: str = "") -> str:
        return "id"

    def edit(self, room: str, sent_id: str, message: Outgoing) -> bool:
        return True


def full(folder: Path) -> None:
    settings = AlertSettings(
        routes=(read_route({"rooms": ["#ops"]}),), webhook_secrets=(bodies.SECRET,), poll_seconds=0
    )
    store = Store(f"sqlite:///{folder / 'state.sqlite3'}")
    flow = AlertService(settings, Access(), store, no_server, Silence(), Templates("text"), SystemClock())
    flow.start()
    serve(flow.receiver)
    with store.read() as work:
        print(work.inbox.waiting_count()[0] + sum(work.inbox.counts().values()), flush=True)
    flow.close()


def serve(receiver: Any) -> None:
    web = Web()
    web.open(receiver.take, {})
    listener = Listener(("127.0.0.1", 0), web)
    print(listener.port, flush=True)
    sys.stdin.readline()
    listener.close(5)


def errbot() -> None:
    from flask import Flask, request
    from werkzeug.serving import ThreadedWSGIServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = Flask("errbot")

    @app.route("/sentry/webhook", methods=["POST"])
    def hook() -> tuple[str, int]:
        request.get_data()
        return "Stored.", 202

    server = ThreadedWSGIServer("127.0.0.1", 0, app)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    kind, where = sys.argv[1:]
    if kind == "full":
        full(Path(where))
    elif kind == "trivial":
        serve(Trivial())
    else:
        errbot()
