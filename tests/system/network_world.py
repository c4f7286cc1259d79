"""What tests of alerts on a chat network share: a stand-in for Sentry, its webhooks, and how to wait for messages."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from datetime import datetime, timezone
from typing import Any, TypeVar

from tests.alerting import bodies
from tests.fakes.sentry_server import SentryServer
from tests.fakes.tracker import TrackedIssue, Tracker
from tests.waiting import until

TOKEN = "sntryu_" + "a1" * 20
MAIL = "bot@example.com"  # the account that writes every comment on the stand-in for Sentry
OWNER = {"type": "user", "id": "1", "name": "The Bot", "email": MAIL}
CAROL = {"type": "user", "id": 3, "name": "Carol"}  # who acts on the server, in every webhook

Message = TypeVar("Message")


class NetworkWorld:
    """The side of Sentry: one organization with the project `shop`. Each network adds its server, people and bot."""

    webhook: str  # where Sentry posts to

    def __init__(self, ends: ExitStack) -> None:
        self.tracker = Tracker(TOKEN, datetime.now(timezone.utc))
        self.tracker.add_project("shop")
        self.tracker.members[MAIL] = "1"
        self.sentry = ends.enter_context(SentryServer(self.tracker))

    @property
    def settings(self) -> dict[str, Any]:
        """The bot's settings for this server and its webhooks."""
        return {
            "SENTRY_URL": self.sentry.url,
            "SENTRY_SERVER": "sentry",
            "SENTRY_ORG": "acme",
            "SENTRY_AUTH_TOKEN": TOKEN,
            "SENTRY_WEBHOOK_SECRET": bodies.SECRET.reveal(),
        }

    def issue(self, title: str = "division by zero") -> TrackedIssue:
        return self.tracker.add_issue("shop", "KeyError", title)

    def hook(self, issue: TrackedIssue, action: str = "created", **fields: Any) -> None:
        """Sentry's webhook about an issue."""
        body = bodies.sentry_issue(issue.id, action, shortId=issue.short_id, title=issue.title, **fields)
        bodies.post(self.webhook, {**body, "actor": CAROL})

    def health(self) -> dict[str, Any]:
        """What the bot's `/sentry/health` says, whatever its status is."""
        try:
            with urllib.request.urlopen(re.sub("webhook.*", "health", self.webhook), timeout=30) as answer:
                found: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as refused:
            with refused:
                found = json.load(refused)
        return found

    def lose_token(
        self, refuse: Callable[[], object], allow: Callable[[], object], code: str, texts: Callable[[], list[str]]
    ) -> None:
        """While the network refuses the bot's token alerts wait, and their cause is shown; then all come, in order.

        `code` is the network's name of the reason, `texts` what the room shows.
        """
        refuse()
        issues = [self.issue(f"refused {number}") for number in range(3)]
        for issue in issues:
            self.hook(issue)
        until(lambda: self.health().get("chat"), 60, lambda: f"the cause in {self.health()}")
        health = self.health()
        assert health["chat"] == {"token_refused": code}
        assert (health["status"], health["flows"]["chat"]) == ("trouble", "trouble")
        allow()
        ids = [issue.short_id for issue in issues]
        shown = until(
            lambda: found if len(found := _ids_in(texts(), ids)) >= 3 else None, 90, lambda: f"{ids} in {texts()}"
        )
        assert shown == ids
        until(lambda: "chat" not in self.health(), 60, lambda: f"{self.health()} without the cause")
        assert self.health()["alerts"]["failed"] == 0

    def wait_for_one(
        self, messages: Callable[[], Iterable[Message]], fits: Callable[[Message], object], what: str
    ) -> Message:
        """The first of the messages that fits, as soon as there is one."""
        return until(
            lambda: next(filter(fits, messages()), None), 60, lambda: f"{what!r}, where there is {list(messages())}"
        )


def _ids_in(texts: list[str], ids: list[str]) -> list[str]:
    """Which of these ids the texts name first, in their order."""
    return [each for text in texts for each in ids if re.search(rf"\b{each}\b", text)]


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
