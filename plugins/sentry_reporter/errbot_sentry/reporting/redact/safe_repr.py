"""Objects whose class is named in an event, and whose contents never leave.

Errbot's plugins, and the bot itself, are mappings over their store, and the SDK prints mappings whole: every stored
token would leave with the first local variable called `self`. Messages, people and rooms are a person's business.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import lru_cache

# Errbot loads plugins as errbot.plugins.<module>: what they define themselves is ordinary data.
_HOST = "errbot."
_GUESTS = ("errbot.plugins", "errbot.flows")
# A local string of a hundred megabytes is no help to anyone, and its repr alone would block the command.
LONGEST_VALUE = 8192
# All texts of one frame's variables together; printing more would delay the person's command for nothing.
_MOST_TEXT = 32 * 1024
_CUT = "…"
_MOST_TYPES = 5000


@lru_cache(maxsize=_MOST_TYPES)
def named_only(kind: type) -> bool:
    """Whether objects of this class may only be named: the class, or one of its bases, is Errbot's own."""
    for base in kind.__mro__:
        module = getattr(base, "__module__", None)
        if isinstance(module, str) and (module + ".").startswith(_HOST) and not module.startswith(_GUESTS):
            return True
    return False


def name_of(value: object) -> str:
    """`<Deploy>` for an instance of class Deploy."""
    return f"<{type(value).__name__}>"


class _Spent(threading.local):
    """How much text the present run of the serializer has printed; a run is known by its memo."""

    memo: object = None
    length: int = 0

    def add(self, memo: object, length: int) -> int:
        if memo is not self.memo:
            self.memo, self.length = memo, 0
        self.length += min(length, LONGEST_VALUE)
        return self.length


def make_repr_processor() -> Callable[[object, dict[str, object]], object]:
    """A repr processor for the SDK's serializer: it gets every value of locals, extra and breadcrumbs.

    Returns a function of (value, hints) that gives the text to print, or NotImplemented for "print it as ever".
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
                # Its last word goes when the event is scrubbed: half a secret could be left of it.
                return repr(value[: LONGEST_VALUE - 8])[:-1] + "..."  # type: ignore[index]  # as above
        return NotImplemented

    return process
