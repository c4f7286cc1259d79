"""The same border over TLS: certificates are checked, and a dripping server still ends in time."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from errbot_sentry.config.secrets import Secret
from errbot_sentry.domain.errors import TimedOut, Unreachable
from errbot_sentry.server.http.client import Transport
from tests.fakes.http_server import HttpServer, as_json
from tests.rules.server.test_transport import FAST, Drip


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody vouches for, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


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
