"""Our own example of a route on each server: what its alerts lack, the poller's alerts get from the server."""

from __future__ import annotations

from pathlib import Path

from errbot_sentry.domain.access import Access
from errbot_sentry.domain.clock import SystemClock
from tests.alerting.world import Chat, VirtualClock, World
from tests.contract.worlds import Session

MATCH = ["level>=error", "environment=production", "tag.customer=acme"]
ROUTE = {"rooms": ["#ops"], "match": MATCH, "show": ["tag.customer"], "trace": True}


def poll(bot: World) -> list[str]:
    """Poll, and let everything happen that follows; what the room gets."""
    bot.step("poller")
    for worker in ("alert pipeline", "alert look-ups", "alert pipeline", "alert delivery"):
        while bot.step(worker) == 0:
            pass
    return bot.texts()


def test_our_own_example_of_a_route(on: Session, tmp_path: Path) -> None:
    chat = Chat(VirtualClock(), threads=True)
    access = Access(projects=(on.world.web,))
    bot = World(
        tmp_path, [ROUTE], poll=0.001, access=access, clock=SystemClock(), chat=chat, find_server=lambda: on.server
    )
    try:
        poll(bot)
        on.world.add(on.world.web, "KeyError", "wanted", customer="acme", environment="production")
        on.world.add(on.world.web, "OSError", "another customer's", customer="other", environment="production")
        on.world.add(on.world.web, "TypeError", "elsewhere", customer="acme", environment="staging")
        notification, trace = poll(bot)
        assert "KeyError" in notification
        assert "customer acme" in notification
        assert "KeyError" in trace
        assert poll(bot) == []
    finally:
        bot.store.close()
