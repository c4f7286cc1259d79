"""Masking a person's words: what was typed to the bot is found again wherever the code carried it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from urllib.parse import quote

CHAT = "[chat]"
_LONGEST_READ = 100_000
# So many words are looked for by their letters, also inside of others; the shorter rest only as words of their own.
_MOST_WORDS = 200
_SHORTEST = 3
# From here on a word is masked inside other words too: a name in `user_alexandra` is still the name.
_LONG = 6
_WORD = re.compile(r"[^\s\"'`,;()\[\]{}<>=]+")
# What programs make of a word by splitting it again: owner/project, host:port, first-last.
_PIECE = re.compile(r"\w+")
# Of an address that was typed, these say nothing about anybody.
_NO_WORDS = frozenset({"http", "https", "www", "com", "org", "net"})
# A line break that was typed is `\n` in a printed text, and would make one word with what follows.
_START = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt]))"
_TOKEN = re.compile(r"(?:(?<=\\)[nrt])?(\w+)")


class ChatMask:
    """Replaces the words of one message; what is in `spared` (the command's own name) stays readable."""

    def __init__(self, typed: Iterable[str], spared: Iterable[str] = ()) -> None:
        keep = {part.lower() for name in spared for part in _WORD.findall(name.replace("_", " "))}
        keep |= {name.lower() for name in spared}
        words: dict[str, str] = {}
        for text in typed:
            for word in _words_of(text):
                if word.lower().lstrip("!/.") not in keep:
                    words[word.lower()] = word
        self._exact = frozenset(words)
        longest_first = sorted((word for word in words if len(word) >= _SHORTEST), key=len, reverse=True)
        self._hints = tuple(longest_first[:_MOST_WORDS])
        self._rest = frozenset(longest_first[_MOST_WORDS:])
        self._escaped = [form for word in self._hints if not word.isascii() for form in _escaped(words[word])]
        self._escape_hints = tuple({_rarest(form) for form in self._escaped})
        self._pattern: re.Pattern[str] | None = None

    def __bool__(self) -> bool:
        return bool(self._exact)

    def __call__(self, text: str) -> str:
        """The text without the words."""
        low = text.lower()
        if not any(hint in low for hint in self._hints) and not any(hint in low for hint in self._escape_hints):
            return CHAT if low.strip("'\"") in self._exact else self._without_rest(text)
        masked = self._compiled().sub(CHAT, text)
        # Letters whose cases differ in length could slip through the pattern: then the whole text goes.
        if any(len(hint) >= _LONG and hint in masked.lower() for hint in self._hints):
            return CHAT
        return self._without_rest(masked)

    def _without_rest(self, text: str) -> str:
        return _TOKEN.sub(self._token, text) if self._rest else text

    def _token(self, match: re.Match[str]) -> str:
        word = match[1]
        if word.lower() not in self._rest:
            return match[0]
        return match[0][: len(match[0]) - len(word)] + CHAT

    def _compiled(self) -> re.Pattern[str]:
        if self._pattern is None:
            # A backslash may have been escaped again, text inside of text.
            parts = [re.escape(form).replace(r"\\", r"\\{1,31}") for form in self._escaped]
            for word in self._hints:
                escaped = re.escape(word)
                parts.append(escaped if len(word) >= _LONG else rf"{_START}{escaped}(?![A-Za-z0-9])")
            self._pattern = re.compile("|".join(parts), re.IGNORECASE)
        return self._pattern


def _words_of(text: str) -> Iterator[str]:
    """The whole text, its words, and the pieces of its words."""
    for word in (text.strip(), *_WORD.findall(text[:_LONGEST_READ])):
        bare = word.strip(".!?:")
        if bare:
            yield bare
    for piece in _PIECE.findall(text[:_LONGEST_READ]):
        if len(piece) >= _SHORTEST and piece.lower() not in _NO_WORDS:
            yield piece


def _escaped(word: str) -> Iterator[str]:
    """What becomes of a word that is not ASCII in JSON, in printed bytes and in an address."""
    for form in sorted({word, word.lower(), word.upper()}):
        yield json.dumps(form)[1:-1]
        with suppress(UnicodeEncodeError):
            yield repr(form.encode())[2:-1]
            yield quote(form)


def _rarest(form: str) -> str:
    """The longest piece of an escaped word, in lower case, that is in every text that has it."""
    return max(form.lower().replace("\\", " ").split(), key=len, default="")


@lru_cache(maxsize=128)
def mask_of(typed: tuple[str, ...], spared: tuple[str, ...]) -> ChatMask:
    """The mask of these words; kept for a while, because all breadcrumbs of one command share it."""
    return ChatMask(typed, spared)
