"""The poller against a real Bugsink: what no webhook reported is in the room after the next poll, and nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from errbot import rendering

from errbot_sentry.config.secrets import Secret
from errbot_sentry.config.settings import ServerSettings
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.clock import SystemClock
from errbot_sentry.server.connection import Connection
from errbot_sentry.web.application import Web
from errbot_sentry.web.listener import Listener
from tests.alerting import bodies
from tests.alerting.world import World
from tests.servers.bugsink import BugsinkProject
from tests.waiting import until

_RENDER = rendering.text()


class Watch:
    """The alert flow on a project, polling when a test asks for it."""

    def __init__(self, folder: Path, project: BugsinkProject, route: dict[str, Any] | None = None) -> None:
        clock = SystemClock()
        self.connection = Connection(ServerSettings(project.url, "auto", Secret(project.token)), clock)
        self.world = World(
            folder,
            [route or {"rooms": ["#ops"]}],
            poll=0.001,
            access=Access(projects=(project.slug,)),
            clock=clock,
            find_server=self.connection.server,
        )
        self.flow = self.world.flow

    def poll(self) -> list[str]:
        """Ask the server now, and let everything happen that follows; what the room receives."""
        self.world.step("poller")
        assert self.flow.status().poll_error == ""
        return self.settle()

    def settle(self) -> list[str]:
        """Let everything happen that is due."""
        for worker in ("alert pipeline", "alert look-ups", "alert pipeline", "alert delivery"):
            while self.world.step(worker) == 0:
                pass
        return self.world.texts()

    def waiting(self) -> int:
        return self.flow.status().waiting


@pytest.fixture
def watch(tmp_path: Path, bugsink_project: BugsinkProject) -> Iterator[Watch]:
    made = Watch(tmp_path, bugsink_project)
    yield made
    made.connection.close()


def test_without_any_webhook(watch: Watch, bugsink_project: BugsinkProject) -> None:
    """New, resolved and muted by somebody in the web pages, come back: each is sent once, at the next poll."""
    bugsink_project.send_event("OldError", "from before the bot")
    assert watch.poll() == [], "the first poll only learns what is there"

    bugsink_project.send_event("ZeroDivisionError", "division by zero")
    (issue,) = [each for each in bugsink_project.issues() if each["calculated_type"] == "ZeroDivisionError"]
    (new,) = watch.poll()
    assert new.startswith("New in")
    assert issue["friendly_id"] in new
    assert watch.poll() == []

    bugsink_project.api("POST", f"issues/{issue['id']}/resolve/")
    (resolved,) = watch.poll()
    assert resolved.startswith(f"{issue['friendly_id']} resolved")
    assert watch.poll() == []

    bugsink_project.send_event("ZeroDivisionError", "division by zero")
    (back,) = watch.poll()
    assert "regressed" in back.lower() or "again" in back.lower()
    assert issue["friendly_id"] in back

    bugsink_project.api("POST", f"issues/{issue['id']}/mute/")
    (muted,) = watch.poll()
    assert "archived" in muted
    assert watch.poll() == []


def test_a_webhook_that_bugsink_sends_and_the_poll_after_it_are_one_alert(
    watch: Watch, bugsink_project: BugsinkProject
) -> None:
    web = Web()
    web.open(watch.flow.receiver.take, {})
    listener = Listener(("127.0.0.1", 0), web)
    try:
        watch.poll()
        bugsink_project.add_alert(f"http://127.0.0.1:{listener.port}/sentry/webhook/{bodies.TOKEN.reveal()}")
        bugsink_project.send_event("KeyError", "customer")
        until(watch.waiting, timeout=60, what="Bugsink's webhook")
        (text,) = watch.settle()
        assert "KeyError" in text
        assert watch.poll() == []

        (issue,) = bugsink_project.issues()
        bugsink_project.api("POST", f"issues/{issue['id']}/resolve/")
        assert len(watch.poll()) == 1
        bugsink_project.send_event("KeyError", "customer")
        until(watch.waiting, timeout=60, what="Bugsink's second webhook")
        assert len(watch.settle()) == 1
        assert watch.poll() == []
        assert bugsink_project.last_alert_failure() is None
    finally:
        listener.close(5)


def test_a_webhook_that_never_came_is_found_at_the_next_poll(watch: Watch, bugsink_project: BugsinkProject) -> None:
    """The bot's listener was away when Bugsink posted; Bugsink does not try again."""
    watch.poll()
    bugsink_project.add_alert("http://127.0.0.1:9/sentry/webhook/nobody-listens")
    bugsink_project.send_event("TimeoutError", "till")
    until(bugsink_project.last_alert_failure, timeout=60, what="a webhook that could not be posted", every=0.5)
    (text,) = watch.poll()
    assert "TimeoutError" in text
    assert watch.poll() == []


def test_our_own_example_of_a_route_works_by_hook_and_by_poll(tmp_path: Path, bugsink_project: BugsinkProject) -> None:
    """Level, environment and tags are in no issue of Bugsink's and in none of its webhooks: they are in the event."""
    match = ["level>=error", "environment=production", "tag.customer=acme", "platform=python"]
    watch = Watch(tmp_path, bugsink_project, {"rooms": ["#ops"], "match": match, "show": ["tag.customer", "level"]})
    wanted = {"environment": "production", "tags": {"customer": "acme"}, "level": "error"}
    try:
        watch.poll()
        bugsink_project.send_event("KeyError", "wanted", **wanted)
        bugsink_project.send_event("TypeError", "elsewhere", **{**wanted, "environment": "staging"})
        bugsink_project.send_event("OSError", "harmless", **{**wanted, "level": "warning"})
        bugsink_project.send_event("LookupError", "nobody's", **{**wanted, "tags": {}})
        (told,) = watch.poll()
        assert "KeyError" in told
        assert "customer acme, error" in told

        bugsink_project.send_event("AttributeError", "by webhook", **wanted)
        (issue,) = [each for each in bugsink_project.issues() if each["calculated_type"] == "AttributeError"]
        body = bodies.encode(
            {**issue, "alert_reason": "NEW", "title": "AttributeError", "project_name": "x", "url": ""}
        )
        assert watch.flow.receiver.take({}, body, bodies.TOKEN.reveal()).status == 202
        (told,) = watch.settle()
        assert "AttributeError" in told
    finally:
        watch.connection.close()
        watch.world.store.close()
