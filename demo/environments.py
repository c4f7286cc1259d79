"""Virtual environments that are built once under `.cache/` and work offline from then on.

Standard library only: this runs under the bare Python that a fresh machine has. Progress goes to the person as one line
per step; what pip says goes to a log file, whose end is shown when something fails.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE_VARIABLE = "SENTRY_REPORTER_CACHE"

Say = Callable[[str], None]

_TAIL_LINES = 12
_SIGN_OF_LIFE_SECONDS = 10.0
_NO_NETWORK = (
    "name resolution",
    "Name or service not known",
    "nodename nor servname",
    "Network is unreachable",
    "No route to host",
    "Failed to establish a new connection",
    "NewConnectionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ProxyError",
)


class CannotBuild(Exception):
    """An environment could not be made; the text is for the person who asked for it."""


@dataclass(frozen=True)
class Recipe:
    """A named environment and the requirements, in pip's notation, that go into it; `python` is the one that makes
    it."""

    name: str
    requirements: tuple[str, ...]
    python: str = sys.executable


BUGSINK = Recipe("bugsink", ("bugsink==2.6.1",))


def cache_folder() -> Path:
    """The folder for everything that is built: `.cache` of this checkout, or SENTRY_REPORTER_CACHE."""
    return Path(os.environ.get(CACHE_VARIABLE) or ROOT / ".cache").resolve()


def announce(line: str) -> None:
    """Show one line of progress at once."""
    print(line, flush=True)


def build(recipe: Recipe, cache: Path | None = None, say: Say = announce) -> Path:
    """Return the Python of the environment, building it first where it is absent, half built or out of date.

    Several processes may ask at the same time: one builds, the others wait for it. Raises CannotBuild.
    """
    folder = folder_of(recipe, cache or cache_folder())
    folder.parent.mkdir(parents=True, exist_ok=True)
    if is_ready(folder):
        return python_of(folder)
    with locked(
        folder.with_name(f"{folder.name}.lock"),
        on_wait=lambda: say(f"Waiting for another process that is building '{recipe.name}' ..."),
    ):
        if not is_ready(folder):
            _build(recipe, folder, say)
    return python_of(folder)


def is_ready(folder: Path) -> bool:
    """Whether `folder` holds a whole environment: the stamp is written last, and names the folder."""
    try:
        stamp = (folder / "ready").read_text()
    except OSError:
        return False
    return stamp == str(folder) and python_of(folder).exists()


def folder_of(recipe: Recipe, cache: Path) -> Path:
    """Each set of requirements and each Python has a folder of its own, so none is rebuilt under one who uses it."""
    parts = [recipe.requirements, sys.version, os.path.realpath(recipe.python)]
    return cache / "environments" / f"{recipe.name}-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]}"


def python_of(folder: Path) -> Path:
    """The interpreter inside an environment."""
    return folder / "bin" / "python"


@contextmanager
def locked(path: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold an exclusive lock on a file between processes; `on_wait` is called once if somebody else has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(recipe: Recipe, folder: Path, say: Say) -> None:
    log = folder.with_name(f"{folder.name}.log")
    shutil.rmtree(folder, ignore_errors=True)
    log.write_bytes(b"")
    say(f"Making the virtual environment '{recipe.name}' in {folder}")
    _run([recipe.python, "-I", "-m", "venv", str(folder)], log, say)
    say(f"Installing {', '.join(recipe.requirements)} (a minute or two, only this time)")
    pip = [
        str(python_of(folder)),
        "-I",
        "-m",
        "pip",
        "--no-input",
        "--disable-pip-version-check",
        "--retries",
        "2",
        "--timeout",
        "15",
    ]
    _run([*pip, "install", "--progress-bar", "off", *recipe.requirements], log, say)
    unfinished = folder / "ready.unfinished"
    unfinished.write_text(str(folder))
    unfinished.replace(folder / "ready")
    say(f"'{recipe.name}' is ready. From now on it starts without the network.")


def _run(command: list[str], log: Path, say: Say) -> None:
    """Run one step with its words in the log, giving a sign of life every ten seconds. Raises CannotBuild."""
    started = time.monotonic()
    next_sign = _SIGN_OF_LIFE_SECONDS
    with log.open("ab") as file:
        step = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            while step.poll() is None:
                time.sleep(0.05)  # so that a sign of life can be given while pip runs
                if (passed := time.monotonic() - started) >= next_sign:
                    say(f"  ... {passed:.0f} s: {_last_line(log)}")
                    next_sign += _SIGN_OF_LIFE_SECONDS
        finally:
            if step.poll() is None:
                step.terminate()
                step.wait()
    if step.returncode != 0:
        raise CannotBuild(explain(log))


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n")
    return next((line.strip()[:100] for line in reversed(lines) if line.strip()), "working")


def explain(log: Path) -> str:
    """Say in a sentence why a build failed, by what the log holds, followed by the log's end."""
    text = log.read_text(errors="replace")
    if "ensurepip" in text:
        reason = (
            "This Python cannot make virtual environments: install its venv package (Debian, Ubuntu: python3-venv)."
        )
    elif any(sign in text for sign in _NO_NETWORK):
        reason = "There is no way to the package index: connect to the network, or set pip's proxy, and run this again."
    elif "No space left on device" in text:
        reason = "The disk is full."
    else:
        reason = "A step of the installation failed."
    tail = "\n".join(f"    {line}" for line in text.rstrip().split("\n")[-_TAIL_LINES:])
    return f"{reason}\nThe end of {log}:\n{tail}"
