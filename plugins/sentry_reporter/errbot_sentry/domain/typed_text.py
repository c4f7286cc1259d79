"""The bounds of what people type: how long a command is, how large a number is, how much of a word is repeated.

Everything that reads typed words begins here, so that no parser has to be quick on a megabyte or right about a number
of five thousand digits.
"""

from __future__ import annotations

from errbot_sentry.domain.errors import UsageError

LONGEST_TYPED = 4000  # characters after a command's name; more than a note, and more than most networks carry
MOST_WORDS = 1000  # a note of that length has some 700
_LONGEST_ECHO = 40


def check_length(words: str) -> None:
    """Refuse what nobody types by hand; called by each `Invocation` when it is made, so before any parser.

    Raises:
        UsageError: more than LONGEST_TYPED characters or MOST_WORDS words.
    """
    if len(words) > LONGEST_TYPED:
        raise UsageError(f"That is longer than {LONGEST_TYPED} characters: shorten it.")
    if len(words.split(maxsplit=MOST_WORDS)) > MOST_WORDS:
        raise UsageError(f"That is more than {MOST_WORDS} words: use fewer.")


def read_number(text: str, least: int, most: int) -> int:
    """A whole number in ASCII digits, from `least` to `most`; zeros in front change nothing.

    Raises:
        ValueError: with a sentence for the person.
    """
    digits = text.lstrip("0") or text[-1:]
    # Bounded before it is converted: int() itself refuses thousands of digits, in words of its own.
    if text.isascii() and text.isdigit() and len(digits) <= len(str(most)) and least <= int(digits) <= most:
        return int(digits)
    raise ValueError(f"{echo(text)} is not a number from {least} to {most}")


def echo(word: str) -> str:
    """A typed word as a sentence may repeat it: short and in quotes."""
    return f"'{word}'" if len(word) <= _LONGEST_ECHO else f"'{word[:_LONGEST_ECHO]}…'"
