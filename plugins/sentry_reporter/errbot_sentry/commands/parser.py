"""Options and limits of the commands: options may stand anywhere, all other words keep their order.

argparse does the reading; its complaints become UsageError, and a mistyped option suggests the right one.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import timedelta
from difflib import get_close_matches
from typing import NoReturn

from errbot_sentry.commands.typed_words import split_words, unquote
from errbot_sentry.domain.durations import read_duration
from errbot_sentry.domain.errors import UsageError
from errbot_sentry.domain.issues import SORTS
from errbot_sentry.domain.typed_text import echo, read_number

MOST_ROWS = 100


class OptionParser(argparse.ArgumentParser):
    """An argparse parser that raises UsageError with the command's usage line, and never prints or exits.

    It reads options only: what is no option is handed back in order.
    """

    def __init__(self, usage_line: str, about: str = "") -> None:
        super().__init__(prog="", usage=usage_line, add_help=False, allow_abbrev=False)
        self._usage_line = usage_line
        self._about = about

    def error(self, message: str) -> NoReturn:
        end = "" if message.endswith(("?", ".")) else "."
        raise UsageError(message[:1].upper() + message[1:] + end, self._usage_line)

    def read(self, typed: str) -> tuple[argparse.Namespace, list[str]]:
        """The options, and the other words in order; after a lone `--` nothing is an option.

        Raises:
            UsageError: an option that this command does not have, or a value that does not fit.
        """
        words = list(split_words(typed))
        cut = words.index("--") if "--" in words else len(words)
        if not {"-h", "--help"}.isdisjoint(words[:cut]):
            raise UsageError(self._about, self._usage_line)
        options, others = self.parse_known_args(words[:cut])
        for word in others:
            if word.startswith("-") and len(word) > 1:
                self._refuse_option(word)
        return options, others + words[cut + 1 :]

    def _refuse_option(self, word: str) -> NoReturn:
        typed = word.partition("=")[0]
        near = get_close_matches(typed, self._option_string_actions, n=1)
        hint = f"; did you mean {near[0]}?" if near else "."
        raise UsageError(f"There is no option {echo(typed)} here{hint}", self._usage_line)


def row_limit(word: str) -> int:
    """A number of rows, 1 to 100."""
    try:
        return read_number(word, 1, MOST_ROWS)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def span(word: str) -> timedelta:
    """A duration of more than nothing."""
    try:
        found = read_duration(unquote(word))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if not found:
        raise argparse.ArgumentTypeError("wanted is a duration longer than nothing, such as 24h")
    return found


def sort_order(word: str) -> str:
    """One of the orders that every server is asked for in the same words."""
    if word.lower() in SORTS:
        return word.lower()
    near = get_close_matches(word.lower(), SORTS, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise argparse.ArgumentTypeError(f"{echo(word)} is not one of {', '.join(SORTS)}{hint}")


def names(words: Sequence[str]) -> tuple[str, ...]:
    """Names given by a repeated option, which may also be joined by commas, without quotes, each once."""
    split = (unquote(part.strip()) for word in words for part in unquote(word).split(","))
    return tuple(dict.fromkeys(name for name in split if name))
