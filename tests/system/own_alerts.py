"""A person's own subscription, typed in a direct message: the same words on every network."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.fakes.tracker import Tracker

MAIL = "bot@example.com"  # the account that writes every comment on the stand-in for Sentry
OWNER = {"type": "user", "id": "1", "name": "The Bot", "email": MAIL}


def subscribe(tracker: Tracker, say: Callable[[str], object], read: Callable[[str], str]) -> None:
    """Link this person to OWNER's account, and subscribe to what is assigned to them.

    `say` types into the direct conversation; `read` waits for a text there, by a regular expression, and returns it.
    """
    tracker.members[MAIL] = "1"
    proof = tracker.add_issue("shop", "KeyError", "for the proof")
    say(f"!sentry link {MAIL}")
    phrase = re.search(r"I am \w+ in chat: \w+", read("I am .* in chat"))
    assert phrase is not None
    proof.notes.append((phrase[0], tracker.now))
    say(f"!sentry link {MAIL} {proof.short_id}")
    read("on the server. You can delete")
    say("!sentry subscribe assignee=me")
    read(r"Subscription \d+: assignee=me")
