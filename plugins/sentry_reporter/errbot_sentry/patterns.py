"""Regular expressions that people type, and that run over texts that strangers write: only those that end soon.

Python's `re` tries one way after the other, holding the interpreter; `(a+)+b` has more ways over forty letters than a
day has microseconds, and a bot that meets one stands still, again after each restart. So the ways are counted before.
"""

from __future__ import annotations

import importlib
import math
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any

LONGEST_TESTED = 500  # characters of a value that are looked at; those of alerts are no longer
# Three `.*` after each other, and some alternatives: half a second at the very worst.
MOST_WAYS = 5e7

_parser: Any = importlib.import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")
_REPEATS = ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")


def compile_bounded(pattern: str) -> re.Pattern[str]:
    """The compiled pattern.

    Raises:
        ValueError: it is none, or could take too long over some text.
    """
    try:
        compiled = re.compile(pattern)
        ways = ways_of(_parser.parse(pattern))
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"is no regular expression: {error}") from error
    if ways > MOST_WAYS:
        raise ValueError("could take for ever over a long text: use fewer of * + {} in one another or in a row")
    return compiled


def ways_of(nodes: Iterable[Any]) -> float:
    """In how many ways these nodes of a parsed pattern can divide a text between them, at most."""
    ways, endless = 1.0, 0
    for name, value in _flat(nodes):
        if name in _REPEATS:
            least, most, body = int(value[0]), min(int(value[1]), LONGEST_TESTED), value[2]
            inner = ways_of(body)
            if inner > 1 and most > 1:
                ways *= _power(inner, most)
            elif inner == 1 and most == LONGEST_TESTED:
                endless += 1
            else:
                ways *= inner * (max(0, most - least) + 1)
        else:
            ways *= _ways_within(name, value)
    # That many numbers of characters in a row that together are no more than the text has.
    return ways * LONGEST_TESTED**endless / math.factorial(endless) if endless < 100 else math.inf


def _flat(nodes: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """The nodes' names and values, with those of groups in the groups' places."""
    for name, value in ((str(node[0]), node[1]) for node in nodes):
        if name == "SUBPATTERN":
            yield from _flat(value[-1])
        else:
            yield name, value


def _ways_within(name: str, value: Any) -> float:
    if name == "BRANCH":
        return sum(ways_of(each) for each in value[1])
    if name in ("ASSERT", "ASSERT_NOT"):
        return ways_of(value[-1])
    if name == "GROUPREF_EXISTS":
        return ways_of(value[1]) + (ways_of(value[2]) if value[2] else 1.0)
    return ways_of(value) if name == "ATOMIC_GROUP" else 1.0


def _power(base: float, exponent: int) -> float:
    return math.inf if exponent * math.log10(base) > 300 else base**exponent
