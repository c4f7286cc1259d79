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

# A busy machine must not fail a test: hypothesis looks at the clock in two ways.
settings.register_profile("no clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no clock")


@pytest.fixture(autouse=True)
def _stores_are_closed() -> Iterator[None]:
    yield
    close_stores()


# With several workers, what takes longest has to begin first.
_LONGEST_FIRST = ("system", "contract", "project", "timelines")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order by folder, the long ones first; within a folder as written."""

    def place(item: pytest.Item) -> int:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        return _LONGEST_FIRST.index(folder) if folder in _LONGEST_FIRST else len(_LONGEST_FIRST)

    items.sort(key=place)
