"""Regular expressions that people type, and that run over texts that strangers write: RE2, whose time is linear.

Python's `re` tries one way after the other and blocks the interpreter meanwhile; nobody can see from a pattern how many
steps that takes. RE2 walks over the text once. Its memory for a pattern is bounded too, and so is the time to compile.
It is the engine of Alertmanager, so the syntax is the same: https://github.com/google/re2/wiki/Syntax.

`re` stays for fixed patterns of our own, each of which is linear as well.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol, cast

import re2

LONGEST_TESTED = 500  # characters of a value that are looked at; those of alerts are no longer
LONGEST_EXPRESSION = 400
# Steps per byte of text, at the very worst: alternatives that are open at the same time. People write under a hundred.
_LARGEST_PROGRAM = 3000
_MEMORY = 256 * 1024  # bytes for one compiled expression and what it remembers while it matches
_CACHED = 256  # compiled expressions

_BEYOND = ("invalid perl operator", "invalid escape sequence", "bad repetition operator", "invalid named capture group")


class Expression(Protocol):
    """A compiled regular expression."""

    def fullmatch(self, text: bytes, /) -> object | None:
        """Something true where the expression matches the whole text, in UTF-8."""
        ...


def matches_whole(pattern: str, text: str) -> bool:
    """Whether an expression that `compile_linear` takes matches the whole text, of which LONGEST_TESTED letters count.

    Raises:
        ValueError: see `compile_linear`.
    """
    # Half a surrogate pair, which JSON may carry, has no UTF-8; as `?` it is one letter like any other.
    return compile_linear(pattern).fullmatch(text[:LONGEST_TESTED].encode("utf-8", "replace")) is not None


@lru_cache(maxsize=_CACHED)
def compile_linear(pattern: str) -> Expression:
    """The compiled expression.

    Raises:
        ValueError: it is none, is too large, or needs what a linear engine cannot do. The text continues a sentence
            that begins with the expression, and says what to do.
    """
    if len(pattern) > LONGEST_EXPRESSION:
        raise ValueError(f"is too long: use at most {LONGEST_EXPRESSION} characters")
    try:
        compiled = re2.compile(pattern, _options())
    except UnicodeEncodeError as error:
        raise ValueError("contains half a character: type it again") from error
    except re2.error as error:
        raise ValueError(_sentence(_text(error))) from error
    if compiled.programsize > _LARGEST_PROGRAM:
        raise ValueError("is too large once its repetitions are written out: use smaller numbers in { }")
    return cast(Expression, compiled)


def _options() -> re2.Options:
    options = re2.Options()
    options.max_mem = _MEMORY
    options.never_capture = True  # nobody reads the groups, and remembering them costs most of the time
    options.log_errors = False  # they would go to the bot's stderr
    return options


def _sentence(cause: str) -> str:
    if "too large" in cause or "repetition size" in cause or "nesting" in cause:
        return f"is too large ({cause}): use smaller numbers in {{ }}"
    if cause.startswith(_BEYOND):
        return (
            f"uses a syntax that RE2 doesn't have ({cause}): write it without look-ahead, look-behind, back references "
            "and possessive repetition, or add a second matcher with !~"
        )
    return f"isn't a valid regular expression ({cause}): correct it, or put a \\ before each character meant literally"


def _text(error: Exception) -> str:
    cause = error.args[0] if error.args else ""
    return cause.decode("utf-8", "replace") if isinstance(cause, bytes) else str(cause)
