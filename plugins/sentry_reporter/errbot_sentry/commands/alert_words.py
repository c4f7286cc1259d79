"""What was typed after a command's name, taken apart. Pure; every mistake is a UsageError with the usage."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from errbot_sentry.config.matchers import Matcher, is_matcher, read_matcher
from errbot_sentry.domain.errors import UsageError
from errbot_sentry.domain.typed_text import read_number

MOST_MATCHERS = 10
_HIGHEST = 999_999_999
_COMMENT = re.compile(r"(?:^|\s)(?:-c|--comment)\s+(.*)", re.DOTALL)


def split(words: str, usage: str) -> list[str]:
    """Words, with quotes kept together: `title=~"Time .*"` is one."""
    lexer = shlex.shlex(words.replace("“", '"').replace("”", '"'), posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters = True, ""
    lexer.escape, lexer.quotes = "", '"'  # backslashes belong to regular expressions, apostrophes to names
    try:
        return list(lexer)
    except ValueError as error:
        raise UsageError("A quotation mark has no partner.", usage) from error


def comment_of(words: str) -> tuple[str, str]:
    """The words before `-c` and the comment behind it, which is taken as it was typed."""
    found = _COMMENT.search(words)
    return (words, "") if found is None else (words[: found.start()], found[1].strip())


def take_option(words: list[str], names: Sequence[str], usage: str) -> str | None:
    """The value after one of these options, which is taken out of the words; None where it was not given."""
    for place, word in enumerate(words):
        if word in names:
            if place + 1 >= len(words):
                raise UsageError(f"{word} wants a value.", usage)
            value = words[place + 1]
            del words[place : place + 2]
            return value
    return None


def names_matchers(words: Sequence[str]) -> bool:
    """Whether the first word looks like a matcher rather than the name of an issue."""
    return bool(words) and "://" not in words[0] and is_matcher(words[0])


def matchers(words: Sequence[str], usage: str) -> tuple[Matcher, ...]:
    """All words as matchers."""
    if len(words) > MOST_MATCHERS:
        raise UsageError(f"More than {MOST_MATCHERS} matchers are too many.", usage)
    try:
        return tuple(read_matcher(word) for word in words)
    except ValueError as error:
        raise UsageError(f"{str(error).rstrip('.')}.", usage) from error


def number(words: Sequence[str], usage: str) -> int:
    """The one number that was typed, with or without `#`."""
    if len(words) != 1:
        raise UsageError("Say which one, by its number.", usage)
    try:
        return read_number(words[0].removeprefix("#"), 0, _HIGHEST)
    except ValueError as error:
        raise UsageError(f"{error}. Say which one, by its number.", usage) from error


def amount(word: str, most: int, usage: str) -> int:
    """How many, from 1 to `most`."""
    try:
        return read_number(word, 1, most)
    except ValueError as error:
        raise UsageError(f"{error}.", usage) from error
