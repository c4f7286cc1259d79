"""A person's own subscription, typed in a direct message: the same words on every network."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing

from tests.fakes.tracker import Tracker
from tests.servers.errbot_process import ErrbotProcess
from tests.waiting import until

MAIL = "bot@example.com"  # the account that writes every comment on the stand-in for Sentry
OWNER = {"type": "user", "id": "1", "name": "The Bot", "email": MAIL}


def link(tracker: Tracker, say: Callable[[str], object], read: Callable[[str], str]) -> None:
    """Link this person to OWNER's account.

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


def subscribe(tracker: Tracker, say: Callable[[str], object], read: Callable[[str], str]) -> None:
    """Link this person, and subscribe to what is assigned to them; as `link`."""
    link(tracker, say, read)
    say("!sentry subscribe assignee=me")
    read(r"Subscription \d+: assignee=me")


def wait_until_known(bot: ErrbotProcess, message: object) -> None:
    """Wait until the bot has stored the network's id of a message of its own; nobody clicks sooner."""

    def known() -> bool:
        with closing(sqlite3.connect(bot.data / "sentry_reporter.sqlite3")) as state:
            return state.execute("select 1 from outbox where sent_id = ?", (str(message),)).fetchone() is not None

    until(known, 60, lambda: f"the bot knows message {message}")
