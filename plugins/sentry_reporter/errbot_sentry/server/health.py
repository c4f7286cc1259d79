"""What `!sentry status` shows of a server, from the transport's counters."""

from __future__ import annotations

from errbot_sentry.server.api import Health
from errbot_sentry.server.transport import Transport


def health_of(kind: str, url: str, transport: Transport) -> Health:
    """Counters so far; asks nobody."""
    counts = transport.counts()
    return Health(kind, url, counts.calls, counts.failures, counts.last_error, counts.limit, counts.remaining)
