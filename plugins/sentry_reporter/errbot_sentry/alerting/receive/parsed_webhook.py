"""What a webhook's body came to."""

from __future__ import annotations

from dataclasses import dataclass

from errbot_sentry.domain.alerts import Alert


@dataclass(frozen=True)
class Parsed:
    """The alerts of one delivery; `more` counts issues that the sender mentions but does not send along."""

    alerts: tuple[Alert, ...]
    more: int = 0


NOTHING = Parsed(())
