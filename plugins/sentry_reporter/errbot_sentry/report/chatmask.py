"""Masking a person's words: what was typed to the bot is found again wherever the code carried it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

CHAT = "[chat]"
_LONGEST_READ = 4000
_MOST_WORDS = 200
_SHORTEST = 3
# From here on a word is masked inside other words too: a name in `user_alexandra` is still the name.
_LONG = 6
_WORD = re.compile(r"[^\s\"'`,;()\[\]{}<>=]+")


class ChatMask:
    """Replaces the words of one message; what is in `spared` (the command's own name) stays readable."""

    def __init__(self, typed: Iterable[str], spared: Iterable[str] = ()) -> None:
        keep = {part.lower() for name in spared for part in _WORD.findall(name.replace("_", " "))}
        keep |= {name.lower() for name in spared}
        words: dict[str, None] = {}
        for text in typed:
            for word in (text.strip(), *_WORD.findall(text[:_LONGEST_READ])):
                bare = word.strip(".!?:")
                if bare and bare.lstrip("!/.").lower() not in keep:
                    words[bare.lower()] = None
        self._exact = frozenset(words)
        longest_first = sorted((word for word in words if len(word) >= _SHORTEST), key=len, reverse=True)[:_MOST_WORDS]
        self._hints = tuple(longest_first)
        self._pattern: re.Pattern[str] | None = None

    def __bool__(self) -> bool:
        return bool(self._exact)

    def __call__(self, text: str) -> str:
        """The text without the words."""
        low = text.lower()
        if not any(hint in low for hint in self._hints):
            return CHAT if low.strip("'\"") in self._exact else text
        masked = self._compiled().sub(CHAT, text)
        # Letters whose cases differ in length could slip through the pattern: then the whole text goes.
        return CHAT if any(len(hint) >= _LONG and hint in masked.lower() for hint in self._hints) else masked

    def _compiled(self) -> re.Pattern[str]:
        if self._pattern is None:
            parts = []
            for word in self._hints:
                escaped = re.escape(word)
                parts.append(escaped if len(word) >= _LONG else rf"(?<![A-Za-z0-9]){escaped}(?![A-Za-z0-9])")
            self._pattern = re.compile("|".join(parts), re.IGNORECASE)
        return self._pattern


@lru_cache(maxsize=128)
def mask_of(typed: tuple[str, ...], spared: tuple[str, ...]) -> ChatMask:
    """The mask of these words; kept for a while, because all breadcrumbs of one command share it."""
    return ChatMask(typed, spared)
