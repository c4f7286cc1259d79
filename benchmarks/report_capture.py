"""What reporting costs the calling thread: ours against sentry-sdk as Errbot wires it, alternating, as ratios.

    python benchmarks/report_capture.py [ROUNDS]

Each measurement runs in a fresh process; the server is a process of its own. raven 6.10 is shown where it is
installed. Medians of the rounds; the ratio is of the medians.
"""

from __future__ import annotations

import importlib.util
import json
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
JOBS = ("breadcrumb", "capture-3", "capture-30", "capture-3-fresh", "capture-30-fresh", "storm")
GOALS = {"breadcrumb": 1.1, "capture-3": 1.3, "capture-30": 1.3, "capture-3-fresh": 1.3, "capture-30-fresh": 1.3,
    "storm": 1 / 50}  # fmt: skip


def measure(arm: str, job: str, dsn: str) -> dict[str, float]:
    """One measurement in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.report_worker", arm, job, dsn]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    result: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    jobs = sys.argv[2:] or JOBS
    arms = ["none", "sdk", "ours"]
    if importlib.util.find_spec("raven"):
        arms.append("raven")
    server = subprocess.Popen(
        [sys.executable, str(ROOT / "benchmarks/report_ingest.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    dsn = server.stdout.readline().strip()
    try:
        print(f"| job | {' | '.join(arms)} | ours / sdk | goal |")
        print(f"|---|{'---|' * (len(arms) + 2)}")
        for job in jobs:
            found: dict[str, list[float]] = defaultdict(list)
            for _ in range(rounds if job != "storm" else max(1, rounds // 3)):
                for arm in arms:
                    found[arm].append(measure(arm, job, dsn)["us"])
            medians = {arm: statistics.median(values) for arm, values in found.items()}
            cells = " | ".join(f"{medians[arm]:.1f} µs" for arm in arms)
            ratio = medians["ours"] / medians["sdk"]
            shown = f"{ratio:.2f}" if ratio > 0.1 else f"1/{1 / ratio:.0f}"
            goal = GOALS[job]
            wanted = f"{goal:.1f}" if goal > 0.1 else f"1/{1 / goal:.0f}"
            print(f"| {job} | {cells} | {shown} | {wanted} |", flush=True)
    finally:
        if server.stdin is not None:
            server.stdin.close()
        server.wait(10)


if __name__ == "__main__":
    main()
