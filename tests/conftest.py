"""Fixtures that every test may ask for."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from demo.processes import LOOPBACK
from tests.servers.bugsink import bugsink, bugsink_project
from tests.servers.ngircd import ngircd
from tests.servers.postgres import postgres
from tests.servers.prosody import prosody
from tests.servers.synapse import synapse
from tests.stores import close_stores

__all__ = ["bugsink", "bugsink_project", "ngircd", "postgres", "prosody", "synapse"]

# A developer's proxy must not stand between a test and its servers.
os.environ.update(no_proxy=LOOPBACK, NO_PROXY=LOOPBACK)

# Hundreds of bots start, and each would compile the whole plugin again: half a second.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A busy machine must not fail a test: hypothesis looks at the clock in two ways.
settings.register_profile("no clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no clock")


@pytest.fixture(autouse=True)
def _stores_are_closed() -> Iterator[None]:
    yield
    close_stores()


# With several workers, what takes longest has to begin first.
_LONGEST_FILES = (
    "test_errbot_versions.py",
    "test_alerts_on_slack.py",
    "test_alerts_on_matrix.py",
    "test_first_connect.py",
)
_LONGEST_FOLDERS = ("system", "contract", "project", "timelines")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, and then the folders with long files; within a folder the order is as written."""

    def place(item: pytest.Item) -> tuple[int, int]:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        return _place_in(_LONGEST_FILES, item.path.name), _place_in(_LONGEST_FOLDERS, folder)

    items.sort(key=place)


def _place_in(names: tuple[str, ...], name: str) -> int:
    return names.index(name) if name in names else len(names)
