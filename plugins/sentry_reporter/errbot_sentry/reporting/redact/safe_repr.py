"""Prints Errbot's own objects as the name of their class, so that their contents are never sent.

Errbot's plugins and the bot itself are mappings over their store, and the SDK prints all of a mapping. So a local
variable `self` would send every stored token. The contents of messages, people and rooms are private too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import lru_cache

# Errbot loads plugins as errbot.plugins.<module>. The classes that they define are ordinary data.
_ERRBOT = "errbot."
_PLUGINS = ("errbot.plugins", "errbot.flows")
# Nobody needs a local string of a hundred megabytes, and its repr alone would block the command.
LONGEST_VALUE = 8192
# Characters of all texts in one frame's variables. Printing more would only delay the person's command.
_MOST_TEXT = 32 * 1024
_CUT = "…"
_MOST_TYPES = 5000


@lru_cache(maxsize=_MOST_TYPES)
def named_only(kind: type) -> bool:
    """Whether only the class of such objects may be named, because it or one of its bases is Errbot's own."""
    for base in kind.__mro__:
        module = getattr(base, "__module__", None)
        if isinstance(module, str) and (module + ".").startswith(_ERRBOT) and not module.startswith(_PLUGINS):
            return True
    return False


def name_of(value: object) -> str:
    """`<Deploy>` for an instance of class Deploy."""
    return f"<{type(value).__name__}>"


class _Spent(threading.local):
    """How much text the present run of the serializer has printed. Each run has its own `memo` object."""

    memo: object = None
    length: int = 0

    def add(self, memo: object, length: int) -> int:
        if memo is not self.memo:
            self.memo, self.length = memo, 0
        self.length += min(length, LONGEST_VALUE)
        return self.length


def make_repr_processor() -> Callable[[object, dict[str, object]], object]:
    """A repr processor for the SDK's serializer, which calls it for every value in locals, extra and breadcrumbs.

    It is a function of (value, hints). It returns the text to print, or NotImplemented to print the value as usual.
    """
    spent = _Spent()

    def process(value: object, hints: dict[str, object]) -> object:
        kind = type(value)
        if named_only(kind):  # type: ignore[arg-type]  # mypy takes the hash of an instance for that of its class
            return name_of(value)
        if kind is str or kind is bytes:
            length = len(value)  # type: ignore[arg-type]  # mypy does not narrow by `kind`
            if spent.add(hints.get("memo"), length) > _MOST_TEXT:
                return _CUT
            if length > LONGEST_VALUE:
                # The scrubber later removes the last word, which could be half a secret.
                return repr(value[: LONGEST_VALUE - 8])[:-1] + "..."  # type: ignore[index]  # as above
        return NotImplemented

    return process
