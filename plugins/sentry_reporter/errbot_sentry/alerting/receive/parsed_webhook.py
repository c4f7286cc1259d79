"""What a webhook's body came to."""

from __future__ import annotations

from dataclasses import dataclass

from errbot_sentry.domain.alerts import Alert


@dataclass(frozen=True)
class Parsed:
    """The alerts of one delivery.

    `more` counts issues that the sender mentions but does not send along. `key` is what a second webhook about the same
    change has in common with this one; "" where there is none.
    """

    alerts: tuple[Alert, ...]
    more: int = 0
    key: str = ""


NOTHING = Parsed(())
