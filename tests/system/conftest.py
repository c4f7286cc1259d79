"""What tests of the whole bot share.

For reporting: errors, a server that takes envelopes, and reporters that send to it. For chat: a network of each kind.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from errbot_sentry.config.secrets import Secret
from errbot_sentry.config.settings import ReportSettings
from errbot_sentry.reporting.collect.bot_context import BotFacts
from errbot_sentry.reporting.reporter import Reporter
from tests.fakes.ingest_server import IngestServer, ingest_server
from tests.servers.ngircd import Ngircd
from tests.servers.prosody import Prosody

Make = Callable[..., Reporter]
log = logging.getLogger("some.plugin")


def fail(error: Exception) -> None:
    raise error


def crash(text: str = "boom") -> None:
    """What a plugin does whose work fails."""
    try:
        fail(ValueError(text))
    except ValueError:
        log.exception("it went wrong")


def values(server: IngestServer) -> list[str]:
    """The texts of all errors that have arrived."""
    return [event["exception"]["values"][-1]["value"] for event in server.events()]


@pytest.fixture
def ends() -> Iterator[ExitStack]:
    """What ends with the test."""
    with ExitStack() as ends:
        yield ends


@pytest.fixture(params=["ngircd", "prosody"])
def chat_server(request: pytest.FixtureRequest) -> Ngircd | Prosody:
    """A running server, once of each of the two networks."""
    found: Ngircd | Prosody = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def server() -> Iterator[IngestServer]:
    with ingest_server() as server:
        yield server


@pytest.fixture
def make(server: IngestServer, tmp_path: Path) -> Iterator[Make]:
    """Makes reporters with these settings, not yet started; all are closed at the end."""
    made: list[Reporter] = []

    def build(clock: Any = None, notify: Any = None, **settings: Any) -> Reporter:
        given = {"enabled": True, "dsn": Secret(server.dsn), **settings}
        made.append(Reporter(ReportSettings(**given), BotFacts("test", "6.2.1"), tmp_path, clock, notify))
        return made[-1]

    yield build
    for reporter in made:
        reporter.close(5)


@pytest.fixture
def started(make: Make) -> Make:
    """Makes reporters that run."""

    def start(**settings: Any) -> Reporter:
        reporter = make(**settings)
        assert reporter.start()
        return reporter

    return start
