"""Webhooks under load: requests per second and the time of the answer at 1, 8 and 64 connections.

    python -m benchmarks.alerts_webhook [SECONDS]

Signed bodies of 15 KB, each about another issue. "full" is the plugin: verified, understood and on the disk (SQLite,
synchronous=FULL) before the answer, with decisions and delivery going on behind it. Afterwards the stored alerts are
counted against the answers.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections import Counter

from tests.alerting import bodies

SIZE = 15_000
CONNECTIONS = (1, 8, 64)


def request(number: int) -> bytes:
    """One delivery, whole."""
    body = bodies.encode(bodies.sentry_issue(str(number), padding="x" * SIZE))
    headers = {**bodies.signed(body, request_id=f"r{number}"), "Host": "bot", "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /sentry/webhook HTTP/1.1\r\n{head}\r\n".encode() + body


async def client(port: int, requests: list[bytes], until: float, times: list[float], answers: Counter[int]) -> None:
    """One connection, kept where the server keeps it; takes from the shared requests until the time is over."""
    reader = writer = None
    while requests and time.perf_counter() < until:
        raw = requests.pop()
        begun = time.perf_counter()
        if writer is None or reader is None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(raw)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        await reader.readexactly(length)
        times.append(time.perf_counter() - begun)
        answers[int(head.split(b" ", 2)[1])] += 1
        if b"HTTP/1.0" in head or b"connection: close" in head.lower():
            writer.close()
            writer = None
    if writer is not None:
        writer.close()


async def load(port: int, connections: int, seconds: float, first: int) -> tuple[list[float], Counter[int]]:
    """All connections for some seconds."""
    requests = [request(number) for number in range(first, first + int(seconds * 1500))]
    times: list[float] = []
    answers: Counter[int] = Counter()
    until = time.perf_counter() + seconds
    await asyncio.gather(*(client(port, requests, until, times, answers) for _ in range(connections)))
    return sorted(times), answers


def measure(kind: str, seconds: float) -> None:
    """One kind of server at each number of connections."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.alerts_webhook_worker", kind, folder]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert server.stdin is not None
        assert server.stdout is not None
        port = int(server.stdout.readline())
        stored = 0
        for place, connections in enumerate(CONNECTIONS):
            times, answers = asyncio.run(load(port, connections, seconds, place * 1_000_000))
            stored += answers[202]
            p50, p99 = (times[int(len(times) * part)] * 1000 for part in (0.5, 0.99))
            rate = len(times) / seconds
            print(f"{kind:8} {connections:3} connections: {rate:6.0f} /s, p50 {p50:6.1f} ms, p99 {p99:6.1f} ms", end="")
            print(f", {dict(answers)}", flush=True)
        server.stdin.write("\n")
        server.stdin.flush()
        if kind == "full":
            print(f"answered 202: {stored:,}; in the store: {int(server.stdout.readline()):,}")
        server.stdin.close()
        server.stdout.close()
        server.wait(20)


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    for kind in ("trivial", "errbot", "full"):
        measure(kind, seconds)


if __name__ == "__main__":
    main()
