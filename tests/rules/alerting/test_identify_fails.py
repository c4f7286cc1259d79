"""What we stumble over in one alert's look-up is that alert's trouble alone."""

from __future__ import annotations

from pathlib import Path

from tests.alerting import bodies
from tests.alerting.world import World


def test_a_mistake_of_ours_in_a_look_up_does_not_stop_the_others(tmp_path: Path) -> None:
    """The first alert needs the server to tell its project; the second does not."""
    world = World(tmp_path, [{"rooms": ["#ops"]}], poll=0)

    def stumble() -> None:
        raise KeyError("a mistake of ours")

    world.server.projects = stumble  # type: ignore[assignment, method-assign]
    nameless = {"id": "00000000-0000-4000-8000-000000000001", "project": 1, "title": "T", "alert_reason": "NEW"}
    world.plain_hook(nameless)
    world.hook(bodies.sentry_issue("101"))
    assert ["101" in line for line in world.at(30).heard()] == [True]
