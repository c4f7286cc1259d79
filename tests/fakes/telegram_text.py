"""What Telegram's Bot API takes as text: HTML with a few tags, and lengths counted without them.

Source: core.telegram.org/bots/api, "HTML style", sendMessage, ReactionTypeEmoji. The words of refusals are the server's
own (github.com/tdlib/telegram-bot-api), as bots get them.
"""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

TEXT_LIMIT = 4096
CAPTION_LIMIT = 1024
CALLBACK_DATA_BYTES = 64

_TAGS = {
    *("b", "strong", "i", "em", "u", "ins", "s", "strike", "del", "span", "tg-spoiler", "a", "tg-emoji"),
    *("code", "pre", "blockquote"),
}
# ReactionTypeEmoji: nothing else can be a reaction, neither of a bot nor (custom emoji apart) of a person.
# fmt: off
REACTIONS = frozenset((
    "👍", "👎", "❤", "🔥", "🥰", "👏", "😁", "🤔", "🤯", "😱", "🤬", "😢", "🎉", "🤩", "🤮", "💩", "🙏", "👌",
    "🕊", "🤡", "🥱", "🥴", "😍", "🐳", "❤‍🔥", "🌚", "🌭", "💯", "🤣", "⚡", "🍌", "🏆", "💔", "🤨", "😐", "🍓",
    "🍾", "💋", "🖕", "😈", "😴", "😭", "🤓", "👻", "👨‍💻", "👀", "🎃", "🙈", "😇", "😨", "🤝", "✍", "🤗", "🫡",
    "🎅", "🎄", "☃", "💅", "🤪", "🗿", "🆒", "💘", "🙉", "🦄", "😘", "💊", "🙊", "😎", "👾", "🤷‍♂", "🤷",
    "🤷‍♀", "😡",
))
# fmt: on


class Refused(Exception):
    """The server says no."""

    def __init__(self, status: int, words: str, **parameters: Any) -> None:
        super().__init__(words)
        self.status, self.words, self.parameters = status, words, parameters


class CannotParse(Exception):
    """Text that is not HTML as Telegram takes it."""


class _Plain(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _TAGS:
            raise CannotParse(f'Unsupported start tag "{tag}"')
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            raise CannotParse(f'Unexpected end tag "{tag}"')

    def handle_data(self, data: str) -> None:
        self.text += data


def plain(text: str, parse_mode: str) -> str:
    """What people read of a text. Raises CannotParse."""
    if parse_mode.upper() != "HTML":
        return text
    parser = _Plain()
    parser.feed(text)
    parser.close()
    if parser.open:
        raise CannotParse(f'Can\'t find end tag corresponding to start tag "{parser.open[-1]}"')
    return parser.text


def length(text: str) -> int:
    """In UTF-16 code units, as Telegram counts."""
    return len(text.encode("utf-16-le")) // 2


def check_text(text: str, values: dict[str, Any], limit: int, caption: bool = False) -> str:
    """The text, if Telegram would take it. Raises Refused."""
    try:
        read = plain(text, values.get("parse_mode") or "")
    except CannotParse as reason:
        raise Refused(400, f"Bad Request: can't parse entities: {reason}") from None
    if not read.strip() and not caption:
        raise Refused(400, "Bad Request: message text is empty")
    if length(read) > limit:
        raise Refused(400, f"Bad Request: message {'caption ' if caption else ''}is too long")
    return text


def keyboard_of(values: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """The inline keyboard of a call. Raises Refused."""
    markup = values.get("reply_markup") or {}
    rows: list[list[dict[str, Any]]] = (json.loads(markup) if isinstance(markup, str) else markup).get(
        "inline_keyboard", []
    )
    for button in (each for row in rows for each in row):
        if len(button.get("callback_data", "").encode()) > CALLBACK_DATA_BYTES:
            raise Refused(400, "Bad Request: BUTTON_DATA_INVALID")
    return rows
