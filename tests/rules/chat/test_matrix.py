"""Matrix's adapter without a Matrix server: whom it believes, and what it makes of odd answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from errbot_sentry.chat.background_queue import BackgroundQueue
from errbot_sentry.chat.networks import matrix
from errbot_sentry.chat.networks.matrix import MatrixNetwork
from errbot_sentry.domain.errors import NotConnected, SendError, SendLimited
from errbot_sentry.domain.outgoing import Outgoing
from tests.fakes.dripping import Drip
from tests.fakes.http_server import HttpServer, Reply

ROOM = "!abc:example.com"


class World:
    """The adapter, and a server that answers with `reply`."""

    def __init__(self, server: HttpServer) -> None:
        self.server = server
        bot: Any = SimpleNamespace(mode="matrix", message_size_limit=10_000)
        self.network = MatrixNetwork(bot, lambda: True, BackgroundQueue())
        self.network._client = SimpleNamespace(access_token="syt_token", homeserver=server.url, proxy="")

    def post(self, status: int, body: bytes) -> str:
        headers = {"Content-Type": "application/json"}
        self.server.answer = lambda _request: Reply(status, body, headers=headers)
        return self.network.post(ROOM, Outgoing("hello"))


@pytest.fixture
def world() -> Iterator[World]:
    with HttpServer(lambda _request: Reply()) as server:
        yield World(server)


def test_a_netrc_does_not_replace_the_token(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """requests prefers ~/.netrc to a header: each message was refused where that file names the server's host."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login bob password hunter2\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert world.post(200, b'{"event_id": "$1"}') == "$1"
    assert world.server.requests[-1].headers["authorization"] == "Bearer syt_token"


@pytest.mark.parametrize("wait", ["NaN", "Infinity", "-1", "1" + "0" * 400, '"soon"', "null", "true", "[]"])
def test_a_rate_limit_with_any_wait_is_one(world: World, wait: str) -> None:
    with pytest.raises(SendLimited) as limited:
        world.post(429, f'{{"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": {wait}}}'.encode())
    assert 0 <= limited.value.wait < float("inf")


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"null", b"{}", b'{"event_id": null}', b'{"event_id": {"a": 1}}']
)
def test_what_has_no_id_was_not_taken(world: World, body: bytes) -> None:
    with pytest.raises(SendError):
        world.post(200, body)


@pytest.mark.parametrize("way", ["body", "headers"])
def test_no_server_keeps_a_message_longer_than_its_time(
    world: World, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte begins the read timeout of requests anew."""
    monkeypatch.setattr(matrix, "_CALL_SECONDS", 1.0)
    drip = Drip()
    world.server.answer = lambda _request: getattr(drip, way)()
    try:
        with pytest.raises(NotConnected):
            world.network.post(ROOM, Outgoing("hello"))
        assert not drip.finished
    finally:
        drip.stopping.set()
