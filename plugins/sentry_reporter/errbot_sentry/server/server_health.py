"""What `!sentry status` shows of a server, from the transport's counters."""

from __future__ import annotations

from errbot_sentry.server.http.client import Transport
from errbot_sentry.server.protocol import Health


def health_of(kind: str, url: str, transport: Transport) -> Health:
    """Counters so far; asks nobody."""
    counts = transport.counts()
    return Health(kind, url, counts.calls, counts.failures, counts.last_error, counts.limit, counts.remaining)
