"""Which Python the bots run on: that of the tests, or the one that ERRBOT_PYTHON names (`3.12`)."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

VARIABLE = "ERRBOT_PYTHON"


def interpreter(version: str) -> str:
    """This version of Python: on the path, or one that pyenv has built; skips the test where there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    built = sorted(pyenv.glob(f"{version}.*/bin/python"))
    found = str(built[-1]) if built else shutil.which(f"python{version}")
    if not found:
        pytest.skip(f"there is no Python {version} here")
    return found


def bot_python() -> str:
    """The Python that makes the environments of bots on chat networks."""
    version = os.environ.get(VARIABLE, "")
    return interpreter(version) if version else sys.executable


@functools.lru_cache
def version_of(python: Path | str) -> tuple[int, int]:
    """`(3, 11)`."""
    if str(python) == sys.executable:
        return sys.version_info[:2]
    told = subprocess.run(
        [python, "-I", "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, check=True, text=True
    )
    major, minor = told.stdout.split()
    return int(major), int(minor)
