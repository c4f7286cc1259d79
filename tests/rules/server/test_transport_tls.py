"""The same border over TLS: certificates are checked, and a dripping server still ends in time."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from errbot_sentry.config.secrets import Secret
from errbot_sentry.domain.errors import TimedOut, Unreachable
from errbot_sentry.server.http.client import Transport
from tests.fakes.http_server import HttpServer, as_json
from tests.rules.server.test_transport import FAST, Drip
from tests.servers.certificates import self_made


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody vouches for, and its key, in one file."""
    return self_made(tmp_path_factory.mktemp("tls") / "certificate.pem")


@pytest.fixture
def server(certificate: Path) -> Iterator[HttpServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with HttpServer(lambda request: as_json({"over": "TLS"}), context) as running:
        yield running


def connect(server: HttpServer) -> Transport:
    return Transport(server.url, Secret("x" * 40), limits=FAST, sleep=lambda _seconds: None)


def test_a_certificate_that_nobody_vouches_for_is_refused(server):
    """The token is not sent; the sentence says how an own authority is named."""
    with pytest.raises(Unreachable, match=r"certificate of 127\.0\.0\.1.*REQUESTS_CA_BUNDLE"):
        connect(server).get("/api/0/")
    assert not server.requests


def test_an_authority_of_ones_own_is_believed(server, certificate, monkeypatch):
    """REQUESTS_CA_BUNDLE."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    assert connect(server).get("/api/0/").json == {"over": "TLS"}


@pytest.mark.parametrize("way", ["body", "chunks", "headers", "silence"])
def test_a_dripping_server_ends_in_time_over_tls(server, certificate, monkeypatch, way):
    """The deadline sits under the TLS layer's file, not beside it."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    drip = Drip()
    server.answer = lambda request: getattr(drip, way)()
    try:
        with pytest.raises(TimedOut):
            connect(server).get("/api/0/")
        assert not drip.finished
    finally:
        drip.stopping.set()
