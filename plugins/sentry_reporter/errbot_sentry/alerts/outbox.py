"""How often and when a message is tried again. Pure."""

from __future__ import annotations

from dataclasses import dataclass

# Nine pauses from one second to 256: about eight and a half minutes until a message that nobody takes is set aside.
MOST_TRIES = 10
LONGEST_PAUSE = 300.0


@dataclass(frozen=True)
class Retry:
    """Try again at this time."""

    at: float


@dataclass(frozen=True)
class SetAside:
    """Enough: keep it to be seen in `!sentry status`, and let the room's next message through."""


def after_refusal(tries: int, now: float) -> Retry | SetAside:
    """What to do with a message that the chat network has refused for the `tries`-th time (1 is the first)."""
    if tries >= MOST_TRIES:
        return SetAside()
    return Retry(now + min(2.0 ** (tries - 1), LONGEST_PAUSE))
