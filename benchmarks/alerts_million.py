"""A million known issues in the store: what one decision costs, and what memory it takes.

    python -m benchmarks.alerts_million [ISSUES]

Alerts about known and about new issues are taken in and decided in batches, as in a burst; the time is that of the
pipeline alone. The same is measured with an empty store.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

from errbot_sentry.store.records import Group, KnownIssue
from tests.alerting import bodies
from tests.alerting.world import START, World

ALERTS = 400


def fill(world: World, count: int) -> None:
    """Known issues, and groups for a tenth of them."""
    now = START.timestamp()
    for start in range(0, count, 10_000):
        with world.store.write() as work:
            numbers = range(start, min(start + 10_000, count))
            work.issues.put(
                KnownIssue(str(n), "unresolved", short_id=f"SHOP-{n}", title="KeyError", project="shop", touched=now)
                for n in numbers
            )
            work.groups.put(
                Group("#ops", str(n), "new", "webhook", now, now, "unresolved", thread_root=1, window=300.0)
                for n in numbers
                if n % 10 == 0
            )


def decide(count: int) -> None:
    """Fill a store, then measure."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), [{"rooms": ["#ops"]}], poll=0)
        fill(world, count)
        world.clock.advance(1000)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(ALERTS):
            issue = str(number * 10) if number % 2 and count else f"99{number:07}"
            world.hook(bodies.sentry_event_alert(issue, event_id=str(number)), "event_alert")
        world.server.by_id.clear()
        begun, cpu = time.perf_counter(), time.process_time()
        while world.step("alert pipeline") == 0.0:
            pass
        took, cpu = time.perf_counter() - begun, time.process_time() - cpu
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(f"{count:>9,} known issues: {took / ALERTS * 1000:.2f} ms per decision ({cpu / ALERTS * 1000:.2f} ms of "
              f"CPU), {grown / 1024:.1f} MB more memory")  # fmt: skip


if __name__ == "__main__":
    decide(0)
    decide(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
