"""Ways in which people install the plugin, for the lifecycle tests."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "plugins" / "sentry_reporter"

_IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc")


def copy_folder(into: Path) -> Path:
    """The plugin's folder alone, copied below `into`, as it runs after an install by hand."""
    into.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copytree(PLUGIN, into / "sentry_reporter", ignore=_IGNORED))


def git_repository(into: Path) -> Path:
    """A git repository like ours, holding the working tree's files, for `!repos install`."""
    copy_folder(into / "plugins")
    for name in ("requirements.txt", "README.md", "config_template.py"):
        shutil.copy(ROOT / name, into / name)
    run = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-C", str(into)]
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        subprocess.run([*run, *words], check=True, capture_output=True)
    return into


def install_wheel(folder: Path) -> Path:
    """A folder for the bot's path in which the plugin is installed, built from the tree."""
    source, site = folder / "source", folder / "site"
    source.mkdir()
    parts = ("requirements-floors.txt", "requirements-dev.txt", "requirements-fallback.txt", "requirements-graph.txt")
    for name in ("pyproject.toml", "README.md", "LICENSE", *parts):
        shutil.copy(ROOT / name, source / name)
    copy_folder(source / "plugins")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "install", "--no-deps", "--target", str(site), str(source)], check=True, capture_output=True)
    return site
