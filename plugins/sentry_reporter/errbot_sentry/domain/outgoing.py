"""A message on its way to a chat network: as lines of Markdown, and, for a notification, as a card.

A network that shows cards (Slack's blocks, Mattermost's attachments, Discord's embeds, Telegram's HTML) draws the card.
All others show the text, which says the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from errbot_sentry.domain.issue_actions import ARCHIVE, ASSIGN, REOPEN, RESOLVE, SILENCE


@dataclass(frozen=True)
class Button:
    """Something that a person may click. `action` is a name of `issue_actions.BUTTONS`; `label` is what it shows."""

    action: str
    label: str


@dataclass(frozen=True)
class Card:
    """A notification in parts. All of them but the buttons are untrusted text on one line; "" where there is none.

    `heading` says what happened and where (`New in shop`), `title` what the problem is, `link` its page on the server.
    `facts` are pairs of a name, "" where the value speaks for itself, and a value. `mark` says what became of the
    problem (`resolved by Ann`). `level` is Sentry's, for the colour; "" where it is unknown.
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
    """What is posted: `text` is escaped Markdown in lines, for this network's backend of Errbot.

    `mention` is trusted text that mentions people, also Markdown. It is not part of `text`. `key` names this message
    among all others, and is the same each time it is tried: a network that knows it takes the message once.
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
        """The same, mentioning nobody."""
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

    `refused` says why the server can never do an action, "" where it may: there is no button for it.
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
        buttons=tuple(each for each in (CLOSED_BUTTONS if closed else OPEN_BUTTONS) if not refused(each.action)),
    )
