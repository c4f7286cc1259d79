"""A real Bugsink for tests: one server for the session, a fresh project for each test."""

from __future__ import annotations

import json
import time
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from demo import environments
from demo.bugsink import Bugsink, Project
from demo.processes import open_url
from tests.servers import missing

INGEST_SECONDS = 60.0


class BugsinkProject:
    """One project on the server, to look into and to send events to; all answers are the API's own JSON."""

    def __init__(self, server: Bugsink, project: Project) -> None:
        self.server = server
        self.id = project.id
        self.name = project.name
        self.slug = project.slug
        self.dsn = project.dsn
        self._project = project

    @property
    def url(self) -> str:
        """The server's base URL, for SENTRY_URL."""
        return self.server.url

    @property
    def token(self) -> str:
        """An API token, for SENTRY_AUTH_TOKEN."""
        return self.server.token

    def api(self, method: str, path: str, body: object = None) -> Any:
        """Any call; see `demo.bugsink.Bugsink.api`."""
        return self.server.api(method, path, body)

    def issues(self) -> list[dict[str, Any]]:
        """All issues of the project, last seen first."""
        query = urlencode({"project": self.id, "sort": "last_seen", "order": "desc"})
        return self._all(f"issues/?{query}")

    def issue(self, ref: str) -> dict[str, Any]:
        """One issue, by UUID or short id."""
        found: dict[str, Any] = self.api("GET", f"issues/{ref}/")
        return found

    def events(self, issue: str) -> list[dict[str, Any]]:
        """The events of an issue, newest first, each whole: `data` is the event as it was sent."""
        return [self.api("GET", f"events/{row['id']}/") for row in self._all(f"events/?{urlencode({'issue': issue})}")]

    def all_events(self) -> list[dict[str, Any]]:
        """Every event of the project, whole."""
        return [event for issue in self.issues() for event in self.events(issue["id"])]

    def comments(self, issue: str) -> list[str]:
        """The notes on an issue (UUID), oldest first.

        Asked inside the server: its API takes notes but does not list them.
        """
        said = self.server.shell(
            "import json\n"
            "from issues.models import TurningPoint as T, TurningPointKind as K\n"
            f"notes = T.objects.filter(issue_id={issue!r}, kind=K.MANUAL_ANNOTATION).order_by('timestamp')\n"
            "print(json.dumps(list(notes.values_list('comment', flat=True))))"
        )
        found: list[str] = json.loads(said)
        return found

    def send_event(self, kind: str = "ValueError", value: str = "it broke", **fields: Any) -> str:
        """Send one event as an SDK would, and return its id; tasks are eager, so it is an issue when this returns."""
        event_id = uuid.uuid4().hex
        event = {**example_event(kind, value), "event_id": event_id, **fields}
        self.send_envelope(event)
        return event_id

    def send_envelope(self, event: dict[str, Any]) -> None:
        """POST an event to the DSN's envelope address."""
        dsn = urlsplit(self.dsn)
        body = b"\n".join(
            json.dumps(part).encode()
            for part in ({"event_id": event["event_id"], "dsn": self.dsn}, {"type": "event"}, event)
        )
        request = urllib.request.Request(
            f"{dsn.scheme}://{dsn.hostname}:{dsn.port}/api{dsn.path}/envelope/",
            data=body,
            headers={
                "Content-Type": "application/x-sentry-envelope",
                "X-Sentry-Auth": f"Sentry sentry_version=7, sentry_client=tests/1, sentry_key={dsn.username}",
            },
        )
        with open_url(request, timeout=INGEST_SECONDS) as answer:
            answer.read()

    def add_alert(self, url: str) -> None:
        """Have new, regressed and unmuted issues posted to `url` (Bugsink's custom alert)."""
        self.server.add_alert(self._project, url)

    def last_alert_failure(self) -> str | None:
        """What Bugsink last noted about an alert that it could not post; None where the last one was taken."""
        said = self.server.shell(
            "from alerts.models import MessagingServiceConfig as M\n"
            f"for m in M.objects.filter(project_id={self.id}, last_failure_timestamp__isnull=False):\n"
            "    print(m.last_failure_error_type, m.last_failure_status_code, m.last_failure_error_message)"
        )
        return said.strip() or None

    def _all(self, path: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        next_path: str | None = path
        while next_path is not None:
            page = self.api("GET", next_path)
            rows += page["results"]
            next_path = page["next"].partition("/api/canonical/0/")[2] if page["next"] else None
        return rows


def example_event(kind: str, value: str) -> dict[str, Any]:
    """An error event of the shape that sentry-sdk 2.75 sends, with two frames, the newest last."""
    frames = [
        {
            "filename": "errbot/core.py",
            "module": "errbot.core",
            "function": "_execute_and_send",
            "lineno": 526,
            "in_app": False,
        },
        {
            "filename": "shop.py",
            "module": "errbot.plugins.shop",
            "function": "checkout",
            "lineno": 12,
            "in_app": True,
            "pre_context": ["def checkout(basket):"],
            "context_line": "    return total(basket) / len(basket)",
            "post_context": [""],
            "vars": {"basket": "[]"},
        },
    ]
    return {
        "timestamp": time.time(),
        "platform": "python",
        "level": "error",
        "logger": "errbot.core",
        "transaction": "shop_checkout",
        "exception": {"values": [{"type": kind, "value": value, "module": None, "stacktrace": {"frames": frames}}]},
    }


@pytest.fixture(scope="session")
def bugsink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bugsink]:
    """A running server for the whole session; its environment is built on first use, which needs the network once."""
    try:
        python = environments.build(environments.BUGSINK)
    except environments.CannotBuild as reason:
        missing(f"no Bugsink to test against: {reason}")
    with Bugsink(tmp_path_factory.mktemp("bugsink"), python) as server:
        yield server


@pytest.fixture
def bugsink_project(bugsink: Bugsink) -> BugsinkProject:
    """A fresh project of the test's own; the server is started again where an earlier test stopped it."""
    if not bugsink.running:
        bugsink.start()
    return BugsinkProject(bugsink, bugsink.make_project(f"bot {uuid.uuid4().hex[:8]}"))
