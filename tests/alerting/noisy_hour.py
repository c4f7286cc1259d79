"""One noisy hour in a room, as the room hears it: `python -m tests.alerting.noisy_hour` makes docs/alerts-hour.md.

The hour is made up and runs on a virtual clock; pipeline, store, templates and Errbot's rendering are the real ones.
"""

from __future__ import annotations

import random
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "plugins" / "sentry_reporter"))

from errbot_sentry.model import RESOLVED, UNRESOLVED
from errbot_sentry.store.rows import Silence
from tests.alerting import bodies
from tests.alerting.world import START, World

MINUTE = 60


def main() -> None:
    """Play the hour and print it."""
    chance = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), [{"rooms": ["#ops"]}])
        play(world, chance)
        print("# A noisy hour\n")
        print("About 950 events of 33 problems, one of them silenced, as `#ops` heard them. Made up, on a virtual")
        print(
            "clock, by `python -m tests.alerting.noisy_hour`; everything between webhook and line is the real thing.\n"
        )
        print("```")
        for heard in world.chat.heard:
            at = (START + timedelta(seconds=heard.at)).strftime("%H:%M:%S")
            for line in world._text(heard).split("\n"):
                print(f"{at} <sentry> {line}")
        print("```")


def play(world: World, chance: random.Random) -> None:
    """Webhooks of new problems, a deploy, a silence, somebody at work."""
    world.at(1)
    happenings = [(chance.uniform(60, 3600), "1") for _ in range(600)] + [
        (chance.uniform(600, 3600), "2") for _ in range(300)
    ]
    happenings += [(1200 + chance.uniform(0, 40), str(number)) for number in range(10, 40)]
    happenings += [(chance.uniform(900, 3000), "3") for _ in range(70)]
    seen: set[str] = set()
    silenced = resolved = back = False
    for at, issue in sorted(happenings):
        world.at(at)
        if at > 1000 and not silenced:
            silenced = True
            now = world.clock.now().timestamp()
            with world.store.write() as work:
                work.wishes.add_silence(Silence("#ops", (), "3", "SHOP-3", "Ann", "", now, now + 40 * MINUTE))
        if at > 2000 and not resolved:
            resolved = True
            world.server.change("2", status=RESOLVED)
            ann = {"type": "user", "id": 1, "name": "Ann"}
            world.hook({**bodies.sentry_issue("2", "resolved"), "actor": ann})
        if resolved and issue == "2" and not back:
            if at < 3000:
                continue
            back = True
            count = str(world.server.by_id["2"].events)
            world.server.event("2", status=UNRESOLVED)
            world.hook(bodies.sentry_issue("2", "unresolved", substatus="regressed", count=count))
            continue
        world.server.event(issue)
        if issue not in seen:
            seen.add(issue)
            world.hook(bodies.sentry_issue(issue))
    world.at(3700)


if __name__ == "__main__":
    main()
