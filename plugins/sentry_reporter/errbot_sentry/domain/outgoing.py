"""A message to a chat network: lines of Markdown, and for a notification also a card.

A network that has cards (Slack's blocks, Mattermost's attachments, Discord's embeds, Telegram's HTML) shows the card.
All others show the text, which says the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from errbot_sentry.domain.issue_actions import ARCHIVE, ASSIGN, REOPEN, RESOLVE, SILENCE


@dataclass(frozen=True)
class Button:
    """A button. `action` is one of the names in `issue_actions` (RESOLVE, REOPEN …); `label` is the text on it."""

    action: str
    label: str


@dataclass(frozen=True)
class Card:
    """A notification in parts. All parts but the buttons are untrusted text on one line, "" if absent.

    `heading` says what happened and where (`New in shop`), and `title` what the problem is. `link` is its page on the
    server. `facts` are (name, value) pairs; the name is "" if the value needs none. `mark` says what became of the
    problem (`resolved by Ann`). `level` is Sentry's, for the colour; "" if unknown.
    """

    heading: str
    title: str
    link: str = ""
    short_id: str = ""
    culprit: str = ""
    level: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    detail: str = ""
    mark: str = ""
    buttons: tuple[Button, ...] = ()

    @property
    def name(self) -> str:
        """`WEB-1A KeyError: 'basket'`."""
        return f"{self.short_id} {self.title}".strip()


@dataclass(frozen=True)
class Outgoing:
    """A message to be posted: `text` is escaped Markdown in lines, for Errbot's backend of this network.

    `mention` is trusted Markdown that mentions people; `text` does not contain it. `key` identifies this message, and
    is the same for every try, so that a network that supports such keys posts the message once.
    """

    text: str
    card: Card | None = None
    mention: str = ""
    key: str = ""

    @property
    def whole(self) -> str:
        """The mention and the text."""
        return f"{self.mention} {self.text}".strip()

    def unmentioned(self) -> Outgoing:
        """The same message without its mention."""
        return replace(self, mention="")


OPEN_BUTTONS = (
    Button(RESOLVE, "Resolve"),
    Button(ARCHIVE, "Archive"),
    Button(ASSIGN, "Assign to me"),
    Button(SILENCE, "Silence 1h"),
)
CLOSED_BUTTONS = (Button(REOPEN, "Reopen"),)
_CLOSING = ("resolved", "archived")


def card_of(values: Mapping[str, object], refused: Callable[[str], str] = lambda _action: "") -> Card:
    """The card of a notification, from the values of its template.

    `refused` gives the reason why this server does not support an action, or "". The card has no button for an action
    with a reason.
    """

    def text(name: str) -> str:
        return str(values.get(name) or "")

    heading, mark = text("word"), text("mark")
    if text("project"):
        heading = f"{heading} in {text('project')}"
    if text("late"):
        heading = f"{heading} (late, from {text('late')})"
    closed = mark.startswith(_CLOSING)
    facts = [(name, text(value)) for name, value in (("", "facts"), ("Rule", "rule")) if text(value)]
    return Card(
        heading=heading,
        title=text("title"),
        link=text("link"),
        short_id=text("short_id"),
        culprit=text("culprit"),
        level=text("level"),
        facts=tuple(facts),
        detail=text("text"),
        mark=mark,
        buttons=tuple(button for button in (CLOSED_BUTTONS if closed else OPEN_BUTTONS) if not refused(button.action)),
    )
