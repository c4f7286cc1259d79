"""What people type, before it means anything: its bounds, its words, its numbers, and how a reply repeats it.

Quotes are kept in words, because a QUERY is in the server's own language. Phones and office programs write “ ” and —
where people typed " and --; those are put right here, once. An apostrophe is a letter like any other.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from functools import cache

from errbot_sentry.domain.errors import UsageError

LONGEST_TYPED = 4000  # characters after a command's name; more than a note, and more than most networks carry
MOST_WORDS = 1000  # a note of that length has some 700
_LONGEST_ECHO = 40

_QUOTES = str.maketrans(dict.fromkeys("“”„‟«»＂", '"') | dict.fromkeys("‘’‚‛", "'"))
# A word is a run of quoted parts and of other characters; inside quotes a backslash protects what follows. A quote that
# is not closed goes to the end, so that no part of the text is looked at twice.
_PART = re.compile(r'(?P<quoted>"(?:\\.|[^"\\])*)(?P<close>"|\\?\Z)|[^\s"]+|(?P<gap>\s+)', re.DOTALL)
_DASHES = "—–‒―−‐‑"
_TYPED_OPTION = re.compile(f"(?P<dashes>[-{_DASHES}]+)(?P<name>[A-Za-z]+)")


def check_length(words: str) -> None:
    """Refuse what nobody types by hand; called by every Invocation when it is made, so before any parser.

    Raises:
        UsageError: more than LONGEST_TYPED characters or MOST_WORDS words.
    """
    if len(words) > LONGEST_TYPED:
        raise UsageError(f"That's too long; use at most {LONGEST_TYPED} characters.")
    if len(words.split(maxsplit=MOST_WORDS)) > MOST_WORDS:
        raise UsageError(f"That's too long; use at most {MOST_WORDS} words.")


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


def tidy(text: str) -> str:
    """The same text without invisible and control characters, with plain quotes; line breaks become spaces."""
    kept = (" " if ch.isspace() else ch for ch in text if ch.isspace() or unicodedata.category(ch) not in ("Cc", "Cf"))
    return "".join(kept).translate(_QUOTES).strip()


def split_before(text: str, options: Sequence[str], known: Collection[str] = ()) -> tuple[tuple[str, ...], str | None]:
    """The words before the first of these options, and all the text behind it; None: none of them was typed.

    The text behind it is for people: it is not split, and a quote in it may be open. After a lone `--` nothing is an
    option. `known` are all options of the command, for `plain_option`.

    Raises:
        UsageError: a double quote is not closed.
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
    """The spellings of options whose value goes to the end: `-c why`, `-cwhy`, `--comment why`, `--comment=why`."""
    long = "|".join(re.escape(name[2:]) for name in options if name.startswith("--"))
    short = "|".join(re.escape(name[1:]) for name in options if not name.startswith("--"))
    return re.compile(rf"[-{_DASHES}]+(?:{long})(?:=|\s+|\Z)|[-{_DASHES}](?:{short})=?")


def leading_word(text: str) -> tuple[str, str]:
    """The leading word, and the rest as it was typed: for words that are meant for people, not for a server."""
    first, *rest = text.strip().split(maxsplit=1) or [""]
    return tidy(first), "".join(rest).strip()


def unquote(word: str) -> str:
    """The word without the double quotes around it, for values that are not in the server's language."""
    if len(word) >= 2 and word[0] == word[-1] == '"':
        return re.sub(r'\\(["\\])', r"\1", word[1:-1])
    return word


def probably_meant(word: str, known: Iterable[str]) -> str:
    """The one of these names that was probably meant: one that begins so, else one that is like it; "" for none."""
    folded, wanted = {each.casefold(): each for each in known}, word.casefold()
    longer = sorted((each for each in folded if len(wanted) > 1 and each.startswith(wanted)), key=len)
    near = longer or get_close_matches(wanted, folded, n=1)
    return folded[near[0]] if near else ""


def plain_dashes(word: str) -> str:
    """The word with every kind of dash as `-`: an id that went through a word processor is still that id."""
    return "".join("-" if ch in _DASHES else ch for ch in word)


def plain_option(word: str, known: Collection[str] = ()) -> str:
    """`—yes`, `–n` and `—n5` as they were meant: `--yes`, `-n` and `-n5`; dashes anywhere else stay as they are.

    `known` are the options that there are: one dash of a phone may stand for one as well as for two.
    """
    form = _TYPED_OPTION.match(word)
    if form is None or not any(ch in _DASHES for ch in form["dashes"]):
        return word
    name, rest = form["name"], word[form.start("name") :]
    attached = len(form["dashes"]) == 1 and f"--{name}" not in known and f"-{name[0]}" in known
    return ("-" if len(name) == 1 or attached else "--") + rest
