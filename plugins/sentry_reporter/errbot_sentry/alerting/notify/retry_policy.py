"""How often and when a message is tried again. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from errbot_sentry.domain.errors import MessageTooLong, SendLimited

# Nine pauses from one second to 256: about eight and a half minutes until a message that nobody takes is set aside.
MOST_TRIES = 10
LONGEST_PAUSE = 2.0 ** (MOST_TRIES - 2)
# In a room that has just refused another message to the end: one try at once, one after the longest pause, and one
# more, since a chat network may let the bot in again only after it has asked (IRC).
_SECOND_TO_LAST = MOST_TRIES - 2
_LAST_PAUSE = 2.0
REFUSES_FOR = 2 * LONGEST_PAUSE  # how long a message that was set aside counts against its room
STALE = 3600.0  # what has waited for so long for a room that has refused for so long is set aside together


@dataclass(frozen=True)
class Retry:
    """Try again at this time; `tries` is how many count as done by then."""

    at: float
    tries: int


@dataclass(frozen=True)
class SetAside:
    """Enough: keep it to be seen in `!sentry status`, and let the room's next message through.

    With `before` what the room's queue has from before that time goes with it.
    """

    before: float | None = None


def after_refusal(
    tries: int, now: float, refuses_since: float | None = None, refusal: Exception | None = None
) -> Retry | SetAside:
    """What to do with a message that the chat network has refused for the `tries`-th time (1 is the first).

    A network that wants fewer messages is obeyed, and that is no try: `SendLimited` says for how long. A message that
    the network never takes (`MessageTooLong`) is not tried again.

    `refuses_since` is when the room's first message in a row was set aside so, the last of them just now: then it is
    the room, not the message, and its others do not begin with short pauses again.
    """
    if isinstance(refusal, SendLimited):
        return Retry(now + min(max(refusal.wait, 1.0), LONGEST_PAUSE), tries - 1)
    if isinstance(refusal, MessageTooLong):
        return SetAside()
    if tries >= MOST_TRIES:
        is_dead = refuses_since is not None and refuses_since <= now - STALE
        return SetAside(now - STALE if is_dead else None)
    if refuses_since is None:
        return Retry(now + 2.0 ** (tries - 1), tries)
    if tries <= _SECOND_TO_LAST:
        return Retry(now + LONGEST_PAUSE, _SECOND_TO_LAST)
    return Retry(now + _LAST_PAUSE, tries)
