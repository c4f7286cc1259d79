"""`on` is a session on one of the three servers: a test that asks for it runs three times."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from demo import environments
from demo.bugsink import Bugsink
from errbot_sentry.server.protocol import BUGSINK, GLITCHTIP, SENTRY
from tests.contract.worlds import BugsinkWorld, Session, TrackerWorld, glitchtip_world, sentry_world, session_of
from tests.servers import missing
from tests.servers.bugsink import BugsinkProject


def _bugsink_world(server: Bugsink) -> BugsinkWorld:
    if not server.running:
        server.start()
    first, second = (
        BugsinkProject(server, server.make_project(f"{name} {uuid.uuid4().hex[:8]}")) for name in ("web", "api")
    )
    return BugsinkWorld(first, second)


def _session(request: pytest.FixtureRequest, bugsink: str) -> Iterator[Session]:
    with ExitStack() as stack:
        if request.param == BUGSINK:
            yield from session_of(_bugsink_world(request.getfixturevalue(bugsink)))
        else:
            make = sentry_world if request.param == SENTRY else glitchtip_world
            yield from session_of(make(stack))


@pytest.fixture(params=[SENTRY, GLITCHTIP, BUGSINK])
def on(request: pytest.FixtureRequest) -> Iterator[Session]:
    yield from _session(request, "bugsink")


@pytest.fixture(scope="session")
def small_bugsink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bugsink]:
    """A Bugsink with few projects, for questions about all of them: the shared one has hundreds."""
    try:
        python = environments.build(environments.BUGSINK)
    except environments.CannotBuild as reason:
        missing(f"no Bugsink to test against: {reason}")
    with Bugsink(tmp_path_factory.mktemp("small-bugsink"), python) as server:
        yield server


@pytest.fixture(params=[SENTRY, GLITCHTIP, BUGSINK])
def on_small(request: pytest.FixtureRequest) -> Iterator[Session]:
    """As `on`, with few other projects on the server."""
    yield from _session(request, "small_bugsink")


@pytest.fixture
def sentry() -> Iterator[tuple[Session, TrackerWorld]]:
    """Sentry alone, with the state behind it."""
    with ExitStack() as stack:
        world = sentry_world(stack)
        for session in session_of(world):
            yield session, world


@pytest.fixture
def glitchtip() -> Iterator[tuple[Session, TrackerWorld]]:
    """GlitchTip alone."""
    with ExitStack() as stack:
        world = glitchtip_world(stack)
        for session in session_of(world):
            yield session, world


@pytest.fixture
def newer_glitchtip() -> Iterator[tuple[Session, TrackerWorld]]:
    """A GlitchTip of 2026, with an assignee."""
    with ExitStack() as stack:
        world = glitchtip_world(stack, newer=True)
        for session in session_of(world):
            yield session, world


@pytest.fixture
def on_bugsink(bugsink: Bugsink) -> Iterator[Session]:
    """The real Bugsink alone."""
    yield from session_of(_bugsink_world(bugsink))
