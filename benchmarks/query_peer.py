"""Sentry's own command-line client on the same local server: `sentry issue list` in turns with `!sentry issues`.

Used by query_issues.py. The client is the npm package `sentry`: taken from the path, else installed by npm into a
temporary folder.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

ROUNDS = 5
PACKAGE = "sentry"
LAST_ROW = "WEB-A"  # the tenth


class NotMeasured(Exception):
    """Why the client could not be measured."""


def find_client(folder: Path) -> str:
    """The client's path.

    Raises:
        NotMeasured: it is not here and cannot be installed.
    """
    found = shutil.which(PACKAGE)
    if found:
        return found
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise NotMeasured("npm or node is not installed")
    command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", PACKAGE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    except subprocess.TimeoutExpired as error:
        raise NotMeasured("npm did not install it within three minutes") from error
    client = folder / "node_modules" / ".bin" / PACKAGE
    if done.returncode != 0 or not client.exists():
        raise NotMeasured(f"npm could not install it: {done.stderr.strip()[-200:]}")
    return str(client)


def compare(url: str, folder: Path, ours: Callable[[], object], asked: Callable[[], int]) -> list[str]:
    """Both in turn; the lines of a Markdown table. `asked` counts the requests that the server has had.

    Raises:
        NotMeasured
    """
    client = find_client(folder)
    home = folder / "home"
    home.mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "SENTRY_CONFIG_DIR": str(home),
        "SENTRY_URL": url,
        "SENTRY_AUTH_TOKEN": "benchmark-token",
        "SENTRY_CLI_NO_TELEMETRY": "1",
        "SENTRY_CLI_NO_UPDATE_CHECK": "1",
        "NO_COLOR": "1",
    }

    def run(*words: str) -> str:
        done = subprocess.run(
            [client, *words], env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode != 0:
            raise NotMeasured(f"`sentry {' '.join(words)}` failed: {(done.stderr or done.stdout).strip()[-200:]}")
        return done.stdout

    def peer() -> None:
        if LAST_ROW not in run("issue", "list", "acme/web", "-n", "10", "--fresh"):
            raise NotMeasured("`sentry issue list` did not show the ten issues of the local server")

    version = run("--version").strip()
    peer()  # its first run writes its cache
    took: dict[str, list[float]] = {"start": [], "peer": [], "ours": []}
    requests: dict[str, int] = {}
    for _ in range(ROUNDS):
        for name, act in (("start", lambda: run("--version")), ("peer", peer), ("ours", ours)):
            before, start = asked(), time.perf_counter()
            act()
            took[name].append((time.perf_counter() - start) * 1000)
            requests[name] = asked() - before
    ms = {name: statistics.median(values) for name, values in took.items()}
    return [
        "| the same ten issues | median | requests |",
        "|---|---|---|",
        f"| `!sentry issues` | {ms['ours']:.1f} ms | {requests['ours']} |",
        f"| `sentry issue list`, version {version} | {ms['peer']:.0f} ms | {requests['peer']} |",
        f"| of it, its start (`sentry --version`) | {ms['start']:.0f} ms | {requests['start']} |",
    ]
