"""How often and when a message is tried again. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from errbot_sentry.domain.errors import MessageTooLong, SendLimited

# Nine pauses, from 1 to 256 seconds: a message that is always refused is set aside after some eight and a half minutes.
MOST_TRIES = 10
LONGEST_PAUSE = 2.0 ** (MOST_TRIES - 2)
# If the room refused every try of its last message, the next one gets three tries: one at once, one after the longest
# pause, and one shortly after that, because an IRC server may let the bot in only after the bot has asked to join.
_SECOND_TO_LAST = MOST_TRIES - 2
_LAST_PAUSE = 2.0
REFUSES_FOR = 2 * LONGEST_PAUSE  # how many seconds a message that was set aside counts against its room
STALE = 3600.0  # if a room has refused everything for so long, its messages that are as old are set aside together


@dataclass(frozen=True)
class Retry:
    """Try again at the time `at`; `tries` is how many tries count as used up."""

    at: float
    tries: int


@dataclass(frozen=True)
class SetAside:
    """Stop trying. The message stays visible in `!sentry status`, and the room's next message is sent.

    With `before`, all of the room's waiting messages that were made before that time are set aside too.
    """

    before: float | None = None


def after_refusal(
    tries: int, now: float, refuses_since: float | None = None, refusal: Exception | None = None
) -> Retry | SetAside:
    """Decide about a message that the chat network has refused for the `tries`-th time (1 is the first).

    If the network limits messages (`SendLimited`), the bot waits as long as the network says, and that does not count
    as a try. A message that the network never accepts (`MessageTooLong`) is not tried again.

    `refuses_since` is set if the room's last messages were all set aside, the newest of them a short time ago; it is
    when the first of them was. Then the cause is the room, not the message, so short pauses are skipped.
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
