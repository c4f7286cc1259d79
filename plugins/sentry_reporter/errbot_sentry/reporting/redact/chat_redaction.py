"""Masking a person's words: what was typed to the bot is found again wherever the code carried it.

Words and texts are compared in one spelling (`spelling.py`). No expression is made of what was typed: words are looked
up, so the time is in proportion to the text and to the number of words, whatever is in either of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from errbot_sentry.reporting.redact.spelling import (
    SpelledText,
    folded,
    has_escapes,
    views_of,
    without_case,
    without_marks,
)

SEND, SCRUB, DROP = "send", "scrub", "drop"
"""SENTRY_CHAT_TEXT: typed words leave; only in an exception's own text; not at all."""
CHAT = "[chat]"
LONGEST_READ = 100_000
"""Letters of all that was typed: beyond, it is unknown which words to look for, and every text is masked."""
# So many words are looked for by their letters, also inside of others; the shorter rest only as words of their own.
_MOST_WORDS = 200
_SHORTEST = 3
# From here on a word is masked inside other words too: a name in `user_alexandra` is still the name.
_LONG = 6
_WORD = re.compile(r"[^\s\"'`,;()\[\]{}<>=]+")
# What programs make of a word by splitting it again: owner/project, host:port, first-last, FirstLast, first_last2.
_PIECE = re.compile(r"\w+")
_PART = re.compile(r"[^\W\d_]+|\d+")
_HUMP = re.compile(r"(?<=[a-zß-öø-ÿа-я])(?=[A-ZÀ-ÖØ-ÞА-Я])|(?<=[A-Z])(?=[A-Z][a-z])")
# Of an address that was typed, these say nothing about anybody.
_NO_WORDS = frozenset({"http", "https", "www", "com", "org", "net"})
_QUOTED = re.compile(r"""[bu]?(["'])(.*)\1""", re.DOTALL)


class ChatMask:
    """Replaces the words of one message; what is in `spared` (the command's own name) stays readable."""

    def __init__(self, typed: Iterable[str], spared: Iterable[str] = ()) -> None:
        texts = tuple(typed)
        self._everything = sum(map(len, texts)) > LONGEST_READ
        keep = {folded(part) for name in spared for part in (name, *_WORD.findall(name.replace("_", " ")))}
        words: set[str] = set()
        if not self._everything:
            words = {word for text in _readings(texts) for word in _words_of(text) if word.lstrip("!/.") not in keep}
        self._exact = frozenset(words)
        longest_first = sorted((word for word in words if len(word) >= _SHORTEST), key=lambda word: (-len(word), word))
        self._hints = tuple(longest_first[:_MOST_WORDS])
        self._rest = frozenset(longest_first[_MOST_WORDS:])
        self._plain = all(text.isascii() and not has_escapes(text) for text in texts)  # and so has no other spelling
        self.price = 1 + len(self._hints) // 64
        """What a letter of a text costs, in letters of a text in which nothing is looked for."""

    def __bool__(self) -> bool:
        return self._everything or bool(self._exact)

    def __call__(self, text: str) -> str:
        """The text without the words."""
        if self._everything:
            return CHAT if text else text
        low = folded(text)
        if len(low) <= _SHORTEST + 2 and self._is_word(low):
            return CHAT
        unread = not self._plain and has_escapes(text)
        if not (unread or self._rest or any(hint in low for hint in self._hints)):
            return CHAT if self._is_word(low) else text
        return _without(text, [view.place(*span) for view in views_of(text) for span in self._found(view)])

    def _is_word(self, low: str) -> bool:
        inner = _QUOTED.fullmatch(low)
        return (inner[2] if inner else low) in self._exact

    def _found(self, view: SpelledText) -> Iterator[tuple[int, int]]:
        text = view.text
        for word in self._hints:
            at = text.find(word)
            while at >= 0:
                end = at + len(word)
                if len(word) >= _LONG or (_begins(view, at) and _ends(view, end)):
                    yield at, end
                    at = text.find(word, end)
                else:
                    at = text.find(word, at + 1)
        if self._rest:
            for pattern in (_PIECE, _PART):
                yield from (match.span() for match in pattern.finditer(text) if match[0] in self._rest)


def _begins(view: SpelledText, at: int) -> bool:
    """Whether a word may begin here: behind no letter or digit, behind the other kind of these, or with a hump."""
    if at == 0:
        return True
    before, first = view.text[at - 1], view.text[at]
    if not (before.isascii() and before.isalnum()) or before.isdigit() != first.isdigit():
        return True
    return view.letter(at).isupper() and view.letter(at - 1).islower()


def _ends(view: SpelledText, end: int) -> bool:
    """Whether a word may end before this place."""
    if end == len(view.text):
        return True
    after, last = view.text[end], view.text[end - 1]
    if not (after.isascii() and after.isalnum()) or after.isdigit() != last.isdigit():
        return True
    return view.letter(end).isupper() and view.letter(end - 1).islower()


def _without(text: str, places: list[tuple[int, int]]) -> str:
    """The text with each of these places, or what several of them cover together, replaced."""
    if not places:
        return text
    places.sort()
    pieces = []
    done, (start, end) = 0, places[0]
    for begins, ends in places[1:]:
        if begins < end:
            end = max(end, ends)
            continue
        pieces += [text[done:start], CHAT]
        done, start, end = end, begins, ends
    pieces += [text[done:start], CHAT, text[end:]]
    return "".join(pieces)


def _readings(texts: Iterable[str]) -> Iterator[str]:
    """The texts, and what their escapes stand for: who types an address has its parts read by the program."""
    for text in texts:
        yield text
        yield from (view.text for view in views_of(text)[1:])


def _words_of(text: str) -> Iterator[str]:
    """The whole text, its words, and the pieces of its words, in the spelling in which they are looked for."""
    plain = without_marks(text)
    for word in (plain.strip(), *_WORD.findall(plain)):
        bare = word.strip(".!?:")
        if bare:
            yield without_case(bare)
    for piece in _PIECE.findall(plain):
        yield from _pieces_of(piece)


def _pieces_of(piece: str) -> Iterator[str]:
    parts = _PART.findall(piece)
    humps = [hump for part in parts for hump in _HUMP.split(part)]
    for found in (piece, *piece.split("_"), *parts, *humps):
        low = without_case(found)
        if len(low) >= _SHORTEST and low not in _NO_WORDS:
            yield low


@lru_cache(maxsize=128)
def mask_of(typed: tuple[str, ...], spared: tuple[str, ...]) -> ChatMask:
    """The mask of these words; kept for a while, because all breadcrumbs of one command share it."""
    return ChatMask(typed, spared)
