"""Webhooks under load: requests per second and the time of the answer.

    python -m benchmarks.alerts_webhook [SECONDS] [ROUNDS] [KIND …]

Signed bodies of 15 KB, each about another issue: in a closed loop at 1, 8 and 64 connections, and at fixed rates over
64 connections. "full" is the plugin: verified, understood and on the disk (SQLite, synchronous=FULL) before the answer,
with decisions and delivery going on behind it; afterwards the stored alerts are counted against the answers. "trivial"
is its floor on the same listener, "errbot" the one on Errbot's web server. The kinds take turns, ROUNDS times, each in
a process of its own; the load comes from another process on the same machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.alerting import bodies

SIZE = 15_000
KINDS = ("trivial", "errbot", "full")
# Connections, and requests a second (0: each connection sends its next request when it has its answer).
LOADS = ((1, 0), (8, 0), (64, 0), (64, 100), (64, 300))
_MOST_PER_SECOND = 4000


@dataclass(frozen=True)
class Result:
    """One load on one server: times in ms."""

    rate: float
    p50: float
    p99: float
    worst: float
    answers: dict[str, int]


def request(number: int) -> bytes:
    """One delivery, whole; all are of one length."""
    body = bodies.encode(bodies.sentry_issue(f"{number:09}", padding="x" * SIZE))
    headers = {**bodies.signed(body, request_id=f"r{number:09}"), "Host": "bot", "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /sentry/webhook HTTP/1.1\r\n{head}\r\n".encode() + body


def load(port: int, connections: int, rate: int, seconds: float, first: int, folder: Path) -> Result:
    """One load, from a process of its own."""
    path = folder / "requests"
    count = int(seconds * (rate or _MOST_PER_SECOND)) + 1
    with path.open("wb") as file:
        for number in range(first, first + count):
            file.write(request(number))
    words = [port, connections, seconds, rate, path]
    command = [sys.executable, "-m", "benchmarks.alerts_load_worker", *map(str, words)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    path.unlink()
    times = found["times"]
    at = [times[int(len(times) * part)] for part in (0.5, 0.99)]
    return Result(len(times) / found["seconds"], at[0], at[1], times[-1], found["answers"])


def measure(kind: str, seconds: float) -> list[Result]:
    """One kind of server under each load."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.alerts_webhook_worker", kind, folder]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert server.stdin is not None
        assert server.stdout is not None
        port = int(server.stdout.readline())
        results = []
        for place, (connections, rate) in enumerate(LOADS):
            found = load(port, connections, rate, seconds, place * 1_000_000, Path(folder))
            results.append(found)
            print(f"{kind:8} {_name(connections, rate)}: {_words([found])}, {found.answers}", flush=True)
        server.stdin.write("\n")
        server.stdin.flush()
        if kind == "full":
            _compare_counts(sum(found.answers.get("202", 0) for found in results), server.stdout.readline())
        server.stdin.close()
        server.stdout.close()
        server.wait(20)
    return results


def _compare_counts(answered: int, stored: str) -> None:
    print(f"answered 202: {answered:,}; in the store: {int(stored):,}", flush=True)
    if answered != int(stored):
        sys.exit("The counts do not agree.")


def _name(connections: int, rate: int) -> str:
    return f"{connections:2} connections, " + (f"{rate} /s sent" if rate else "closed loop")


def _words(results: list[Result]) -> str:
    rate, p50, p99, worst = (
        median(getattr(each, name) for each in results) for name in ("rate", "p50", "p99", "worst")
    )
    return f"{rate:6.0f} /s, p50 {p50:6.1f} ms, p99 {p99:6.1f} ms, worst {worst:6.1f} ms"


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    kinds = sys.argv[3:] or list(KINDS)
    print(f"{os.cpu_count()} processors, load average {os.getloadavg()[0]:.1f}")
    found: dict[str, list[list[Result]]] = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind in kinds:
            found[kind].append(measure(kind, seconds))
    print(f"\nMedians of {rounds} rounds; load average at the end {os.getloadavg()[0]:.1f}")
    for place, (connections, rate) in enumerate(LOADS):
        for kind in kinds:
            print(f"{_name(connections, rate):36} {kind:8} {_words([each[place] for each in found[kind]])}")


if __name__ == "__main__":
    main()
