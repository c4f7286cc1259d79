"""Reads what people type, before a command interprets it: limits its length, splits it into words, reads numbers.

Words keep their quotes, because a QUERY is in the server's search language. Phones and office programs replace the "
and -- that people type by “ ” and —; this module alone reverses that. An apostrophe is an ordinary character.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from functools import cache

from errbot_sentry.domain.errors import UsageError

LONGEST_TYPED = 4000  # characters after a command's name; longer than any note, and than most networks allow
MOST_WORDS = 1000  # a note of LONGEST_TYPED characters has about 700
_LONGEST_ECHO = 40

_QUOTES = str.maketrans(dict.fromkeys("“”„‟«»＂", '"') | dict.fromkeys("‘’‚‛", "'"))
# A word consists of quoted parts and of other characters. Inside quotes, a backslash escapes the next character. An
# unclosed quote matches to the end of the text, so that the pattern never scans a part twice.
_PART = re.compile(r'(?P<quoted>"(?:\\.|[^"\\])*)(?P<close>"|\\?\Z)|[^\s"]+|(?P<gap>\s+)', re.DOTALL)
_DASHES = "—–‒―−‐‑"
_TYPED_OPTION = re.compile(f"(?P<dashes>[-{_DASHES}]+)(?P<name>[A-Za-z]+)")


def check_length(words: str) -> None:
    """Refuse text that is too long to be typed by hand. Every Invocation calls this, so it runs before any parser.

    Raises:
        UsageError: the text has more than LONGEST_TYPED characters or MOST_WORDS words.
    """
    if len(words) > LONGEST_TYPED:
        raise UsageError(f"That's too long; use at most {LONGEST_TYPED} characters.")
    if len(words.split(maxsplit=MOST_WORDS)) > MOST_WORDS:
        raise UsageError(f"That's too long; use at most {MOST_WORDS} words.")


def read_number(text: str, least: int, most: int) -> int:
    """A whole number in ASCII digits, from `least` to `most`. Leading zeros are allowed.

    Raises:
        ValueError: with a sentence for the person.
    """
    digits = text.lstrip("0") or text[-1:]
    # The length is checked before the conversion: for thousands of digits, int() raises an error with its own text.
    if text.isascii() and text.isdigit() and len(digits) <= len(str(most)) and least <= int(digits) <= most:
        return int(digits)
    raise ValueError(f"{echo(text)} is not a number from {least} to {most}")


def echo(word: str) -> str:
    """A typed word for use in a reply: in quotes, and cut if it is long."""
    return f"'{word}'" if len(word) <= _LONGEST_ECHO else f"'{word[:_LONGEST_ECHO]}…'"


def tidy(text: str) -> str:
    """The same text without invisible and control characters, with plain quotes; line breaks become spaces."""
    clean = (" " if ch.isspace() else ch for ch in text if ch.isspace() or unicodedata.category(ch) not in ("Cc", "Cf"))
    return "".join(clean).translate(_QUOTES).strip()


def split_before(text: str, options: Sequence[str], known: Collection[str] = ()) -> tuple[tuple[str, ...], str | None]:
    """The words before the first of these options, and all the text after it (None if none of them was typed).

    The text after the option is a comment for people: it is not split into words, and may contain an unclosed quote.
    After a lone `--`, nothing is an option. `known` are all options of the command, for `plain_option`.

    Raises:
        UsageError: a double quote among the words is not closed.
    """
    clean, form = tidy(text), _form_of(tuple(options)) if options else None
    words, rest = [""], None
    for part in _PART.finditer(clean):
        option = form.match(clean, part.start()) if form is not None and not words[-1] else None
        if option is not None:
            rest = clean[option.end() :].strip()
            break
        if part["gap"]:
            form = None if words[-1] == "--" else form
            words.append("")
        elif part["quoted"] and part["close"] != '"':
            raise UsageError('Unclosed quote (").')
        else:
            words[-1] += part[0]
    return tuple(plain_option(word, known) for word in words if word), rest


@cache
def _form_of(options: tuple[str, ...]) -> re.Pattern[str]:
    """Matches an option whose value is all the rest: `-c why`, `-cwhy`, `--comment why`, `--comment=why`."""
    long = "|".join(re.escape(name[2:]) for name in options if name.startswith("--"))
    short = "|".join(re.escape(name[1:]) for name in options if not name.startswith("--"))
    return re.compile(rf"[-{_DASHES}]+(?:{long})(?:=|\s+|\Z)|[-{_DASHES}](?:{short})=?")


def leading_word(text: str) -> tuple[str, str]:
    """The leading word, tidied, and the rest exactly as typed, because people will read that rest."""
    first, *rest = text.strip().split(maxsplit=1) or [""]
    return tidy(first), "".join(rest).strip()


def unquote(word: str) -> str:
    """The word without double quotes around it, for values that are not in the server's search language."""
    if len(word) >= 2 and word[0] == word[-1] == '"':
        return re.sub(r'\\(["\\])', r"\1", word[1:-1])
    return word


def probably_meant(word: str, known: Iterable[str]) -> str:
    """The known name that was probably meant: one that begins with the word, else a similar one; "" for none."""
    folded, wanted = {name.casefold(): name for name in known}, word.casefold()
    longer = sorted((name for name in folded if len(wanted) > 1 and name.startswith(wanted)), key=len)
    near = longer or get_close_matches(wanted, folded, n=1)
    return folded[near[0]] if near else ""


def plain_dashes(word: str) -> str:
    """The word with a `-` for every kind of dash, so that an id copied from a word processor is still that id."""
    return "".join("-" if ch in _DASHES else ch for ch in word)


def plain_option(word: str, known: Collection[str] = ()) -> str:
    """An option with plain dashes: `—yes`, `–n` and `—n5` become `--yes`, `-n` and `-n5`. Other dashes stay.

    `known` are the existing options. They are needed because a phone's long dash may stand for one dash or for two.
    """
    form = _TYPED_OPTION.match(word)
    if form is None or not any(ch in _DASHES for ch in form["dashes"]):
        return word
    name, rest = form["name"], word[form.start("name") :]
    attached = len(form["dashes"]) == 1 and f"--{name}" not in known and f"-{name[0]}" in known
    return ("-" if len(name) == 1 or attached else "--") + rest
