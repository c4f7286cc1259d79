"""Runs regular expressions that people type over untrusted texts, with RE2, which needs linear time.

Python's `re` backtracks: nobody can see from a pattern how many steps it takes, and it blocks the interpreter
meanwhile. RE2 goes over the text once. Its memory for a pattern and its time to compile one are bounded too.
Alertmanager also uses RE2's syntax: https://github.com/google/re2/wiki/Syntax.

The package's own fixed patterns use `re`; each of them takes linear time as well.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol, cast

import re2

LONGEST_TESTED = 500  # characters of a value that are matched; values in alerts are not longer
LONGEST_EXPRESSION = 400
# The greatest size of a compiled program. It bounds the alternatives that RE2 follows at once, and so the steps per
# byte of text. Expressions that people write have fewer than 100.
_LARGEST_PROGRAM = 3000
_MEMORY = 256 * 1024  # bytes for one compiled expression and its caches during matching
_CACHED = 256  # compiled expressions

_BEYOND = ("invalid perl operator", "invalid escape sequence", "bad repetition operator", "invalid named capture group")


class Expression(Protocol):
    """A compiled regular expression."""

    def fullmatch(self, text: bytes, /) -> object | None:
        """A true value if the expression matches the whole text, given in UTF-8."""
        ...


def matches_whole(pattern: str, text: str) -> bool:
    """Whether the expression matches the whole text. Only the first LONGEST_TESTED characters of the text count.

    Raises:
        ValueError: see `compile_linear`.
    """
    # JSON may contain half a surrogate pair, which UTF-8 cannot encode. It becomes "?", one character like any other.
    return compile_linear(pattern).fullmatch(text[:LONGEST_TESTED].encode("utf-8", "replace")) is not None


@lru_cache(maxsize=_CACHED)
def compile_linear(pattern: str) -> Expression:
    """The compiled expression.

    Raises:
        ValueError: the expression is invalid, too large, or uses syntax that RE2 does not have. The text continues a
            sentence that begins with the expression, and says what to do.
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
    options.never_capture = True  # nothing reads the groups, and capturing them would take most of the time
    options.log_errors = False  # RE2 would write them to the bot's stderr
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
