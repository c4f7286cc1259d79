"""Our own example of a route on each server: what its alerts lack, the poller's alerts get from the server."""

from __future__ import annotations

from pathlib import Path

from errbot_sentry.alerting.service import AlertService
from errbot_sentry.chat.render.templates import Templates
from errbot_sentry.config.routes import read_route
from errbot_sentry.config.settings import AlertSettings
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.clock import SystemClock
from tests.alerting.world import Chat, VirtualClock
from tests.contract.worlds import Session
from tests.stores import store_at

MATCH = ["level>=error", "environment=production", "tag.customer=acme"]


def settle(flow: AlertService, chat: Chat) -> list[str]:
    """Poll, and let everything happen that follows; what the room gets."""
    flow._poller.hurry()
    for worker in (flow._polling, flow._deciding, flow._asking, flow._deciding, flow._sending):
        while worker._step() == 0:
            pass
    texts = [each.text for each in chat.sent]
    chat.sent.clear()
    return texts


def test_our_own_example_of_a_route(on: Session, tmp_path: Path) -> None:
    chat = Chat(VirtualClock(), threads=True)
    settings = AlertSettings(
        routes=(read_route({"rooms": ["#ops"], "match": MATCH, "show": ["tag.customer"], "trace": True}),),
        poll_seconds=3600,
    )
    access = Access(projects=(on.world.web,))
    store = store_at(f"sqlite:///{tmp_path / 'state.sqlite3'}")
    flow = AlertService(settings, access, store, lambda: on.server, chat, Templates("text"), SystemClock())
    try:
        settle(flow, chat)
        on.world.add(on.world.web, "KeyError", "wanted", customer="acme", environment="production")
        on.world.add(on.world.web, "OSError", "another customer's", customer="other", environment="production")
        on.world.add(on.world.web, "TypeError", "elsewhere", customer="acme", environment="staging")
        told, trace = settle(flow, chat)
        assert "KeyError" in told
        assert "customer acme" in told
        assert "KeyError" in trace
        assert settle(flow, chat) == []
    finally:
        store.close()
