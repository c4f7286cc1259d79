"""A card as Mattermost's attachment: developers.mattermost.com/integrate/reference/message-attachments.

A title with a link is shown as it is. Texts and fields are Markdown, in which names mention people.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from errbot_sentry.chat.render.escaping import Escape, defuse, plain
from errbot_sentry.domain.issue_actions import ARCHIVE, ARCHIVE_CHOICES
from errbot_sentry.domain.outgoing import CLOSED_BUTTONS, Button, Card

_COLORS = {"fatal": "#8b1a1a", "error": "#d24b4e", "warning": "#f5ab00", "info": "#1c58d9", "debug": "#8d93a5"}
_CLOSED = "#3db887"
_OTHER = "#8d93a5"

Integration = Callable[[str], dict[str, Any]]
"""Returns, for an action, where its click goes and what it carries."""


def attachment_of(card: Card, escape: Escape, integration: Integration) -> dict[str, Any]:
    """The attachment. The card's link has to be safe, and only buttons that are to be shown may be in it."""
    title = defuse(plain(card.name))
    unnamed = (value for name, value in card.facts if not name)
    lines = (card.culprit, *unnamed, card.detail)
    fields = [(name, value) for name, value in card.facts if name] + ([("Status", card.mark)] if card.mark else [])
    made = {
        "fallback": defuse(plain(f"{card.heading}: {title}")),
        "color": _CLOSED if card.buttons == CLOSED_BUTTONS else _COLORS.get(card.level, _OTHER),
        "title": title if card.link else escape.text(title),
        "title_link": card.link,
        "text": "\n".join(escape.text(line) for line in lines if line),
        "fields": [{"title": name, "value": escape.text(value), "short": True} for name, value in fields],
        "actions": [_action(button, integration) for button in card.buttons],
    }
    return {name: value for name, value in made.items() if value}


def _action(button: Button, integration: Integration) -> dict[str, Any]:
    """A button or a menu; ids may have only letters and digits (channels/api4/integration_action.go)."""
    made = {"id": button.action, "name": button.label, "integration": integration(button.action)}
    if button.action != ARCHIVE:
        return {**made, "type": "button"}
    options = [{"text": text, "value": value} for value, text in ARCHIVE_CHOICES.items()]
    return {**made, "type": "select", "options": options}
