"""What is lost when things go wrong: ours beside sentry-sdk as Errbot wires it.

    python benchmarks/report_loss.py [SCENARIO…]

Each scenario runs a fresh process per arm that captures distinct errors against a local server which fails as named;
then the process ends, and the bot's "next start" (an idle second process) may send what is left.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "plugins" / "sentry_reporter")]

from benchmarks.report_worker import crumbs, start, written_module  # noqa: E402 - the path is set above
from tests.fakes.ingest_server import Behaviour, IngestServer  # noqa: E402 - as above

ARMS = ("sdk", "ours")
QUIET_SECONDS, LONGEST_SECONDS = 6.0, 240.0


@dataclass
class Run:
    """One arm in one scenario: the child process and the server it talks to."""

    arm: str
    server: IngestServer
    folder: Path
    child: subprocess.Popen[str] | None = None

    def begin(self) -> None:
        command = [sys.executable, __file__, "child", self.arm, self.server.dsn, str(self.folder)]
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)

    def capture(self, first: int, count: int) -> float:
        """Capture errors numbered from `first`; the seconds that took the child."""
        assert self.child is not None
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write(f"{first} {count}\n")
        self.child.stdin.flush()
        return float(self.child.stdout.readline())

    def end(self) -> None:
        """An ordinary exit."""
        assert self.child is not None
        assert self.child.stdin is not None
        self.child.stdin.close()
        self.child.wait(60)

    def kill(self) -> None:
        assert self.child is not None
        self.child.kill()
        self.child.wait(60)

    def arrived(self) -> int:
        return len({event["event_id"] for event in self.server.events()})

    def settle(self) -> None:
        """Wait until nothing more arrives."""
        began = changed = time.monotonic()
        seen = -1
        while time.monotonic() - changed < QUIET_SECONDS and time.monotonic() - began < LONGEST_SECONDS:
            if self.arrived() != seen:
                seen, changed = self.arrived(), time.monotonic()
            time.sleep(0.1)  # envelopes come from another process


def refused(run: Run) -> int:
    """The server refuses connections for 10 s; 200 errors in that time, 15 afterwards."""
    run.server.stop()
    run.begin()
    run.capture(0, 200)
    time.sleep(10)  # the outage
    run.server.resume()
    run.capture(200, 15)
    run.settle()
    run.end()
    return 215


def slow(run: Run) -> int:
    """The server answers in 2 s; 30 errors at once, then an ordinary exit."""
    run.server.behaviour = Behaviour(delay=2.0)
    run.begin()
    run.capture(0, 30)
    run.end()
    run.server.behaviour = Behaviour()
    return 30


def limited(run: Run) -> int:
    """429 with Retry-After of 5 s for every request of the first 5 s; 50 errors at once."""
    run.server.behaviour = Behaviour(status=429, headers={"Retry-After": "5"})
    run.begin()
    run.capture(0, 50)
    time.sleep(5)  # the limit
    run.server.behaviour = Behaviour()
    time.sleep(3)  # the next attempts come first, then we look whether all is quiet
    run.settle()
    run.end()
    return 50


def killed(run: Run) -> int:
    """kill -9 right after 100 captures; the server takes 20 ms each."""
    run.server.behaviour = Behaviour(delay=0.02)
    run.begin()
    run.capture(0, 100)
    run.kill()
    return 100


def burst(run: Run) -> int:
    """10 000 distinct errors, as fast as they come."""
    run.begin()
    run.capture(0, 10_000)
    run.settle()
    run.end()
    return 10_000


SCENARIOS: dict[str, Callable[[Run], int]] = {
    "refused 10 s": refused,
    "answers in 2 s, then exit": slow,
    "429, Retry-After 5 s": limited,
    "kill -9 after capture": killed,
    "burst of 10 000": burst,
}


def measure(arm: str, scenario: Callable[[Run], int]) -> tuple[int, int]:
    """(captured, arrived) of one arm."""
    server = IngestServer()
    try:
        with tempfile.TemporaryDirectory() as name:
            run = Run(arm, server, Path(name))
            captured = scenario(run)
            server.behaviour = Behaviour()
            run.begin()
            run.capture(0, 0)
            run.settle()
            run.end()
            return captured, run.arrived()
    finally:
        server.stop()


def child(arm: str, dsn: str, folder: Path) -> None:
    """The bot: captures what it is told to on stdin, ends with stdin."""
    import benchmarks.report_worker as worker

    worker.CAPTURES = 10_000
    logging.getLogger().setLevel(logging.INFO)
    logging.getLogger().addHandler(logging.NullHandler())
    start(arm, dsn, folder)
    log = logging.getLogger("bench.plugin")
    module = None
    crumbs(100)
    for line in sys.stdin:
        first, count = map(int, line.split())
        began = time.perf_counter()
        if count:
            module = module or written_module(folder, 3)
        for number in range(first, first + count):
            try:
                getattr(module, f"fail_{number}")("x")
            except ValueError:
                log.exception("it went wrong")
        print(time.perf_counter() - began, flush=True)
    reporter = worker.__dict__.get("reporter")
    if reporter is not None:
        reporter.close(5)


def main() -> None:
    if sys.argv[1:2] == ["child"]:
        child(sys.argv[2], sys.argv[3], Path(sys.argv[4]))
        return
    wanted = sys.argv[1:] or list(SCENARIOS)
    print("| scenario | captured | " + " | ".join(f"{arm}: arrived, lost" for arm in ARMS) + " |")
    print("|---|---|" + "---|" * len(ARMS))
    for name in wanted:
        cells, captured = [], 0
        for arm in ARMS:
            captured, arrived = measure(arm, SCENARIOS[name])
            cells.append(f"{arrived}, {captured - arrived}")
        print(f"| {name} | {captured} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
