"""Makes the HTML that Telegram's Bot API takes (core.telegram.org/bots/api#html-style) from Markdown and cards."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape, unescape
from html.parser import HTMLParser

from errbot.rendering import xhtml

from errbot_sentry.chat.render.escaping import defuse, plain
from errbot_sentry.domain.outgoing import Card

_ZERO_WIDTH_SPACE = "\u200b"
_SIGNS = {"fatal": "🔴", "error": "🟠", "warning": "🟡", "info": "🔵"}
_KEPT = {"strong": "b", "b": "b", "em": "i", "i": "i", "code": "code", "pre": "pre"}
_TAG = re.compile(r"<[^>]*>")
_ADDRESS = re.compile(r"https?://[^\s<>\"]+")
_TARGET = re.compile(r"https?://.+|tg://user\?id=\d+")
# Telegram makes links of /commands, #hashtags, $CASHTAGS, +numbers and whatever looks like a host name, such as shop.py
# (core.telegram.org/bots/api#messageentity), except in code and in links.
_SIGN = re.compile(r"(?<!\w)([/#$](?=\w*[^\W\d])|\+(?=\d))")
_DOT = re.compile(r"(?<=\w)\.(?=[^\W\d_])")


def html_of(markdown: str) -> str:
    """The HTML of a message in our Markdown. Lines stay lines; a bare web address becomes a link with its host."""
    writer = _Writer()
    writer.feed(xhtml().convert(markdown))
    writer.close()
    return writer.result()


def card_html(card: Card, mention: str) -> str:
    """The HTML of a card; `mention` is Markdown. The rest has at most 2000 characters, so Telegram takes any."""
    return "\n".join(line for line in _lines(card, mention) if line)


def plain_text(html: str) -> str:
    """The text that people read in such HTML."""
    return unescape(_TAG.sub("", html))


def _lines(card: Card, mention: str) -> Iterator[str]:
    if mention:
        yield html_of(mention)
    yield f"{_SIGNS.get(card.level, '')} <b>{_text(card.heading, 150)}</b>".lstrip()
    name = " ".join(part for part in (plain(card.short_id, 50), plain(card.title, 400)) if part)
    yield f'<a href="{escape(card.link)}">{escape(name)}</a>' if card.link else _text(name)
    yield f"<code>{escape(plain(card.culprit, 200))}</code>" if card.culprit else ""
    yield _text(card.detail, 500)
    yield " · ".join(_text(f"{name}: {value}" if name else value, 300) for name, value in card.facts[:2])
    yield f"<i>{_text(card.mark, 100)}</i>" if card.mark else ""


def _text(value: str, longest: int = 500) -> str:
    """The HTML of a foreign value: people read it as it is, and nothing in it is a link."""
    return escape(_inert(defuse(plain(value, longest))))


def _inert(text: str) -> str:
    return _DOT.sub(_ZERO_WIDTH_SPACE + ".", _SIGN.sub(r"\1" + _ZERO_WIDTH_SPACE, text))


class _Writer(HTMLParser):
    """Turns the HTML of Python-Markdown into the HTML of Telegram."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._parts: list[str] = []
        self._inside: list[str] = []  # inside code and links Telegram makes no links of its own

    def result(self) -> str:
        return "".join(self._parts).strip("\n")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _KEPT:
            self._parts.append(f"<{_KEPT[tag]}>")
        elif tag == "li":
            self._parts.append("• ")
        if tag in ("code", "pre"):
            self._inside.append(tag)
        elif tag == "a":
            target = dict(attrs).get("href") or ""
            self._inside.append(tag if _TARGET.fullmatch(target) else "")
            if self._inside[-1]:
                self._parts.append(f'<a href="{escape(target)}">')

    def handle_endtag(self, tag: str) -> None:
        if tag in ("code", "pre", "a") and self._inside:
            if tag == "a" and self._inside.pop():
                self._parts.append("</a>")
            elif tag != "a":
                self._inside.pop()
        if tag in _KEPT:
            self._parts.append(f"</{_KEPT[tag]}>")

    def handle_data(self, data: str) -> None:
        if any(self._inside):
            # The fence begins with an empty line, for Errbot's own rendering.
            self._parts.append(escape(data.strip("\n") if "pre" in self._inside else data))
            return
        if not data.strip("\n"):  # between two blocks
            self._parts.append("" if not self._parts or self._parts[-1].endswith("\n") else "\n")
            return
        rest = 0
        for found in _ADDRESS.finditer(data):  # only our own text still has a whole address
            address = found[0].rstrip(").,;:")
            host = address.partition("://")[2].partition("/")[0]
            self._parts += [escape(_inert(data[rest : found.start()])), f'<a href="{escape(address)}">{host}</a>']
            rest = found.start() + len(address)
        self._parts.append(escape(_inert(data[rest:])))
