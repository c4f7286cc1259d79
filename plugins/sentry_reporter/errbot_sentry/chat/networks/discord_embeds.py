"""A card as Discord's embed with buttons (docs.discord.com/developers/resources/message#embed-object and
/developers/components/reference).

Title, description and values are Markdown; author and footer are shown as they are. No embed mentions anybody.
"""

from __future__ import annotations

from typing import Any

from errbot_sentry.chat.render.escaping import Escape, defuse, plain
from errbot_sentry.domain.issue_actions import ARCHIVE, ARCHIVE_CHOICES
from errbot_sentry.domain.outgoing import CLOSED_BUTTONS, Button, Card

BUTTON_PREFIX = "sentry:"
"""The `custom_id` of each button of ours begins with this; the name of its action follows."""

_COLORS = {"fatal": 0xC0392B, "error": 0xE67E22, "warning": 0xF1C40F, "info": 0x3498DB, "debug": 0x95A5A6}
_CLOSED = 0x2ECC71
_OTHER = 0x95A5A6
# Discord: 256 for author, title and a field's name, 4096 for the description, 1024 for a value, 2048 for the footer,
# and 6000 for all of them. So many characters of these never reach that.
_SHORT, _LONG, _VALUE, _MOST_FIELDS = 256, 2400, 300, 5
_BUTTON, _MENU, _ROW = 2, 3, 1
_STYLES = {"resolve": 3, "reopen": 1}  # green, blue; all others grey
_GREY = 2


def embed_of(card: Card, escape: Escape) -> dict[str, Any]:
    """The embed of a card, whose link has to be safe."""
    title = plain(card.name)
    lines = [*(escape.text(line) for line in (card.culprit, card.detail) if line)]
    if card.mark:
        lines.append(f"**{escape.text(card.mark)}**")
    named = [(name, escape.text(value)) for name, value in card.facts if name and plain(value)]
    made = {
        "author": {"name": defuse(plain(card.heading, _SHORT))},
        "title": _fitting(escape.text(title), _SHORT),
        "url": escape.href(card.link),
        "color": _CLOSED if card.buttons == CLOSED_BUTTONS else _COLORS.get(card.level, _OTHER),
        "description": _fitting("\n".join(lines), _LONG),
        "fields": [
            {"name": name, "value": _fitting(value, _VALUE), "inline": True} for name, value in named[:_MOST_FIELDS]
        ],
        "footer": {"text": defuse(plain(" · ".join(value for name, value in card.facts if not name)))},
    }
    return {name: value for name, value in made.items() if value not in ("", [], {"name": ""}, {"text": ""})}


def rows_of(buttons: tuple[Button, ...]) -> list[dict[str, Any]]:
    """The buttons in one row, and each menu in a row of its own, as Discord wants it."""
    rows = [[_button(button) for button in buttons if button.action != ARCHIVE]]
    rows += [[_menu(button)] for button in buttons if button.action == ARCHIVE]
    return [{"type": _ROW, "components": row} for row in rows if row]


def _button(button: Button) -> dict[str, Any]:
    style = _STYLES.get(button.action, _GREY)
    return {"type": _BUTTON, "style": style, "label": button.label, "custom_id": BUTTON_PREFIX + button.action}


def _menu(button: Button) -> dict[str, Any]:
    options = [{"label": text, "value": value} for value, text in ARCHIVE_CHOICES.items()]
    return {"type": _MENU, "placeholder": button.label, "custom_id": BUTTON_PREFIX + button.action, "options": options}


def _fitting(escaped: str, limit: int) -> str:
    """As much of the escaped text as fits; it never ends with half of an escape."""
    if len(escaped) <= limit:
        return escaped
    head = escaped[: limit - 1]
    backslashes = len(head) - len(head.rstrip("\\"))
    return (head[:-1] if backslashes % 2 else head) + "…"
