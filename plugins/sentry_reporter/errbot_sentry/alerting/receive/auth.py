"""Who sent this: signatures and secret URL parts, compared in constant time. Pure.

Sentry signs the raw body with HMAC-SHA256, key = the integration's client secret, and sends lowercase hex
(sentry-docs, integration-platform/webhooks). The timestamp header is not covered by the signature.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping

from errbot_sentry.config.secrets import Secret

# The integration platform, its UI components, and service hooks: all the same sum.
SIGNATURE_HEADERS = ("sentry-hook-signature", "sentry-app-signature", "x-servicehook-signature")


def signature(body: bytes, secret: Secret) -> str:
    """What a sender with this secret writes under this body."""
    return hmac.new(secret.reveal().encode(), body, hashlib.sha256).hexdigest()


def is_signed(headers: Mapping[str, str], body: bytes, secrets: Iterable[Secret]) -> bool:
    """Whether the body carries a signature by one of these secrets. Header names are in lower case."""
    given = next((headers[name] for name in SIGNATURE_HEADERS if headers.get(name)), "").strip().lower()
    return _is_one_of(given, [signature(body, secret) for secret in secrets])


def is_token(given: str, tokens: Iterable[Secret]) -> bool:
    """Whether this secret part of a URL is one of ours."""
    return _is_one_of(given, [token.reveal() for token in tokens])


def _is_one_of(given: str, expected: list[str]) -> bool:
    # Every one is compared, so that the time does not show which was nearly right; bytes, because the comparison of
    # texts refuses other letters than ASCII.
    sent = given.encode("utf-8", "surrogatepass")
    matches = [hmac.compare_digest(sent, each.encode()) for each in expected if each]
    return any(matches)
