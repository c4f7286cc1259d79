"""While a report is made, which takes seconds over many alerts, webhooks are still stored."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from errbot_sentry.alerting.notify.digest_reports import Digests
from tests.alerting import bodies
from tests.alerting.world import World


@pytest.mark.parametrize("way", ["due", "asked"])
def test_nobody_waits_for_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """It was made with the right to write in hand; senders of webhooks give up after a second."""
    world = World(tmp_path, [{"rooms": ["#ops"]}], poll=0)
    world.type("digest daily 12:30")
    make: Callable[..., Any] = Digests.message
    stored = []

    def message(*args: Any) -> Any:
        webhook = threading.Thread(target=lambda: stored.append(world.hook(bodies.sentry_issue("1")).status))
        webhook.start()
        webhook.join(10)
        done.append(bool(stored))
        return make(*args)

    done: list[bool] = []
    monkeypatch.setattr(Digests, "message", message)
    if way == "due":
        assert "Digest, daily" in world.at(1900).texts()[0]
    else:
        world.type("digest now")
    assert done[:1] == [True]
    assert stored[0] == 202
