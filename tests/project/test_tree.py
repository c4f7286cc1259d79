"""Rules of the repository that are easy to forget."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

import errbot_sentry

ROOT = Path(__file__).resolve().parents[2]
# What libraries of chat backends pin: python-telegram-bot 13.15, which errbot[telegram] asks for; and Errbot 6.2.0.
BACKEND_PINS = {"cachetools": ["4.2.2"], "requests": ["2.31.0"]}


def _tracked() -> list[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: the list of tracked files is not to be had")
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return listed.stdout.split("\n")


def test_the_product_has_the_only_plug_file():
    """Errbot would load any other one in a user's bot, tests included."""
    assert [name for name in _tracked() if name.endswith((".plug", ".flow"))] == [
        "plugins/sentry_reporter/sentry_reporter.plug"
    ]


def test_the_requirements_files_name_the_same_distributions():
    """Errbot compares the raw lines of a requirements.txt with installed packages (errbot/repo_manager.py,
    `check_dependencies`), of the one beside the .plug at the start and of the repository's own after an update: so both
    have bare names, and the lowest versions are in a third file."""
    floors = [
        re.split(r"[<>=!~\[ ]", line)[0]
        for line in (ROOT / "requirements-floors.txt").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    bare = (ROOT / "plugins/sentry_reporter/requirements.txt").read_text().splitlines()
    assert (ROOT / "requirements.txt").read_text().splitlines() == floors == ["errbot", *bare]
    assert all(re.fullmatch(r"[A-Za-z0-9-]+", name) for name in bare)


def test_floors_agree_with_errbots_exact_pins():
    """Errbot 6.2.1 pins requests 2.32.5: asking for a newer one could not be installed."""
    from importlib.metadata import requires

    from packaging.requirements import Requirement

    ours = [
        Requirement(line) for line in (ROOT / "requirements-floors.txt").read_text().splitlines() if line[:1].isalpha()
    ]
    pins = {(pin := Requirement(text)).name.lower(): pin for text in requires("errbot") or []}
    for requirement in ours:
        pin = pins.get(requirement.name.lower())
        exact = [spec.version for spec in pin.specifier if spec.operator == "=="] if pin else []
        exact += BACKEND_PINS.get(requirement.name, [])
        assert all(requirement.specifier.contains(version) for version in exact), requirement


def test_every_dependency_has_its_reason_in_the_docs():
    """docs/dependencies.md says why each is there."""
    reasons = (ROOT / "docs/dependencies.md").read_text()
    names = (ROOT / "plugins/sentry_reporter/requirements.txt").read_text().split()
    assert not [name for name in names if f"`{name}`" not in reasons]


def test_the_version_is_the_newest_in_the_changelog():
    """A release has its section in the changelog."""
    newest = re.search(r"^## (?:\[)?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest.group(1) == errbot_sentry.__version__


def test_the_wheel_lists_every_package_folder():
    """A package folder that pyproject.toml does not list would be missing from the wheel."""
    listed = set(re.findall(r'"(errbot_sentry_reporter[\w.]*)"', (ROOT / "pyproject.toml").read_text()))
    folders = (ROOT / "plugins/sentry_reporter/errbot_sentry").rglob("__init__.py")
    home = ROOT / "plugins/sentry_reporter"
    wanted = {".".join(("errbot_sentry_reporter", *path.parent.relative_to(home).parts)) for path in folders}
    assert wanted <= listed
