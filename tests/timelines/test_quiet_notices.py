"""Notices about silences wait for the end of a room's quiet hours, as everything else does."""

from __future__ import annotations

from pathlib import Path

from tests.alerting import bodies
from tests.alerting.world import World

# The virtual clock begins at noon.
OVER = "Silence 1 (project=shop) ended; it silenced 1 alert about 1 problem: SHOP-1"


def test_the_end_of_a_silence_is_not_said_in_quiet_hours(tmp_path: Path) -> None:
    """Nor that it ends soon, when it is over by then."""
    world = World(tmp_path, [{"rooms": ["#ops"], "quiet": "12:10-14:00"}], poll=0)
    world.type("silence project=shop -d 1h")
    world.hook(bodies.sentry_issue("1"))
    assert world.at(7199).messages() == []
    assert world.at(8000).messages() == [f"7200 #ops {OVER}"]
    with world.store.read() as tx:
        assert (tx.silences.present(), tx.deferred.counts()) == ([], {})


def test_that_a_silence_ends_soon_is_said_after_the_quiet_hours(tmp_path: Path) -> None:
    world = World(tmp_path, [{"rooms": ["#ops"], "quiet": "11:00-12:58"}], poll=0)
    world.type("silence project=shop -d 1h")
    world.hook(bodies.sentry_issue("1"))
    assert world.at(4000).messages() == [
        "3480 #ops Silence 1 (project=shop) ends in 2m; so far it silenced 1 alert",
        f"3600 #ops {OVER}",
    ]


def test_of_a_silence_for_every_room_only_the_quiet_rooms_wait(tmp_path: Path) -> None:
    routes = [
        {"rooms": ["#ops"], "quiet": "12:10-14:00", "continue": True},
        {"rooms": ["#far"], "quiet": "12:10-15:00", "continue": True},
        {"rooms": ["#web"]},
    ]
    world = World(tmp_path, routes, poll=0)
    world.type("silence project=shop -d 1h", "")
    world.hook(bodies.sentry_issue("1"))
    assert world.at(12_000).messages() == [
        "3240 #web Silence 1 (project=shop) ends in 6m; so far it silenced 1 alert",
        f"3600 #web {OVER}",
        f"7200 #ops {OVER}",
        f"10800 #far {OVER}",
    ]
    with world.store.read() as tx:
        assert (tx.silences.present(), tx.deferred.counts()) == ([], {})
