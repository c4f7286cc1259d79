"""Parses what was typed after a command's name into options and words, as the command's entry in the registry says.

Options may stand anywhere. All other words keep their order and form, because a QUERY and a matcher have languages of
their own. argparse reads the options. Its errors become UsageError, which names the option that was probably meant.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from datetime import timedelta
from difflib import get_close_matches
from functools import cache
from typing import Any, NoReturn

from errbot_sentry.commands.command_context import Command, Option, ParsedCommand, sentence
from errbot_sentry.config.matchers import Matcher, check_known, is_matcher, personal, read_matcher
from errbot_sentry.domain.conversation import Invocation
from errbot_sentry.domain.errors import UsageError
from errbot_sentry.domain.issues import SORTS
from errbot_sentry.domain.text import read_duration
from errbot_sentry.domain.typed_text import echo, plain_option, read_number, split_before, tidy, unquote

MOST_ROWS = 100
MOST_MATCHERS = 10
_HIGHEST_NUMBER = 999_999_999
_HELP = frozenset({"-h", "--help"})


def parse(entry: Command, invocation: Invocation, prefix: str = "!") -> ParsedCommand:
    """A command with its options and words. After a lone `--` nothing is an option.

    Raises:
        UsageError: an option that the command does not have, a value that does not fit, a word too many, or `--help`.
    """
    try:
        return _parse(entry, invocation, prefix + entry.usage)
    except UsageError as error:
        raise UsageError(str(error), prefix + entry.usage) from error


def _parse(entry: Command, invocation: Invocation, usage: str) -> ParsedCommand:
    if entry.free_text:
        _refuse_help(entry, (plain_option(tidy(invocation.words)),))
        return ParsedCommand(invocation, usage)
    last = next((option for option in entry.options if option.to_the_end), None)
    known = {name for option in entry.options for name in option.names}
    words, rest = split_before(invocation.words, last.names if last else (), known)
    end = words.index("--") if "--" in words else len(words)
    _refuse_help(entry, words[:end])
    options, others = _reader(entry.options).read(words[:end])
    if last is not None and rest is not None:
        setattr(options, last.name, rest)
    found = (*others, *words[end + 1 :])
    if entry.most_words is not None and len(found) > entry.most_words:
        raise UsageError(f"Unexpected word {echo(found[entry.most_words])}.")
    return ParsedCommand(invocation, usage, found, options)


def _refuse_help(entry: Command, words: Sequence[str]) -> None:
    """Answer `--help` with what the command does and its usage, also to people who may not run it."""
    if not _HELP.isdisjoint(words):
        raise UsageError(sentence(entry))


class _OptionReader(argparse.ArgumentParser):
    """Reads options and leaves all other words alone. Unlike argparse, it never prints or exits."""

    def __init__(self, options: Sequence[Option]) -> None:
        super().__init__(prog="", usage="", add_help=False, allow_abbrev=False, exit_on_error=False)
        for option in options:
            if option.read is None and not option.to_the_end:
                self.add_argument(*option.names, dest=option.name, action="store_true")
            else:
                default = [] if option.many else option.default
                action = "append" if option.many else "store"
                self.add_argument(
                    *option.names, dest=option.name, action=action, default=default, type=_typed(option.read or str)
                )

    def read(self, words: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
        """The options and the other words."""
        try:
            options, others = self.parse_known_args(words)
        except argparse.ArgumentError as error:
            raise UsageError(_complaint(error)) from error
        for word in others:
            if word.startswith("-") and len(word) > 1:
                self._refuse(word)
        return options, others

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message[:1].upper()}{message[1:]}.")

    def _refuse(self, word: str) -> NoReturn:
        typed = word.partition("=")[0]
        near = get_close_matches(typed, self._option_string_actions, n=1)
        hint = f"; did you mean {near[0]}?" if near else "."
        raise UsageError(f"Unknown option {echo(typed)}{hint}")


@cache
def _reader(options: tuple[Option, ...]) -> _OptionReader:
    return _OptionReader(options)


def _typed(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Turn ValueError into the one error whose sentence argparse shows."""

    def typed(word: str) -> Any:
        try:
            return read(unquote(word))
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return typed


def _complaint(error: argparse.ArgumentError) -> str:
    """argparse's message as a sentence for the person."""
    if error.message.startswith("expected"):
        return f"{error.argument_name} needs a value."
    if error.message.startswith("ignored explicit"):
        return f"{error.argument_name} takes no value."
    return error.message if error.message.endswith("?") else f"{error.message[:1].upper()}{error.message[1:]}."


def row_limit(word: str) -> int:
    """A number of rows, 1 to 100; ValueError otherwise."""
    return read_number(word, 1, MOST_ROWS)


def span(word: str) -> timedelta:
    """A duration above zero; ValueError otherwise."""
    found = read_duration(word)
    if not found:
        raise ValueError("use a duration of more than zero, such as 24h")
    return found


def sort_order(word: str) -> str:
    """One of the orders that every server knows; ValueError otherwise."""
    if word.lower() in SORTS:
        return word.lower()
    near = get_close_matches(word.lower(), SORTS, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ValueError(f"{echo(word)} is not one of {', '.join(SORTS)}{hint}")


def names(words: Sequence[str]) -> tuple[str, ...]:
    """The names given by an option that may be repeated, or have several names with commas; each once."""
    split = (unquote(part.strip()) for word in words for part in word.split(","))
    return tuple(dict.fromkeys(name for name in split if name))


def names_matchers(words: Sequence[str]) -> bool:
    """Whether what was typed begins with a matcher rather than a REF."""
    return bool(words) and "://" not in words[0] and is_matcher(unquote(words[0]))


def matchers(typed: ParsedCommand, words: Sequence[str], *, of_a_person: bool = False) -> tuple[Matcher, ...]:
    """All these words as matchers. Raises UsageError if a word is not a matcher.

    `of_a_person` allows matchers for the person's own name or teams.
    """
    if len(words) > MOST_MATCHERS:
        raise typed.mistake(f"Use at most {MOST_MATCHERS} matchers.")
    if comma := next((word for word in words if word.endswith(",")), ""):
        raise typed.mistake(f"{echo(comma)} ends with a comma. Put spaces between matchers, and no commas.")
    try:
        found = tuple(read_matcher(unquote(word)) for word in words)
        for each in found:
            check_known(each)
    except ValueError as error:
        raise typed.mistake(f"{str(error).rstrip('.')}.") from error
    own = next((each for each in found if personal(each)), None)
    if own is not None and own.operator != "=":
        raise typed.mistake(f"Use = in {own}.")
    if own is not None and not of_a_person:
        raise typed.mistake(f"{own} is for a subscription of your own. Type `subscribe {own}` in a direct message.")
    return found


def one_number(typed: ParsedCommand) -> int:
    """The one number that was typed, with or without `#`. Raises UsageError if there is none."""
    if not typed.words:
        raise typed.mistake("Which one? Give its number.")
    try:
        return read_number(unquote(typed.words[0]).removeprefix("#"), 0, _HIGHEST_NUMBER)
    except ValueError as error:
        raise typed.mistake(f"{error}.") from error
