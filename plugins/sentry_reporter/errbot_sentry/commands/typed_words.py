"""What a person typed, as words: quotes are kept, because a QUERY is in the server's own language.

Phones and office programs write “ ” and — where people typed " and --; those are put right here, once.
An apostrophe is a letter like any other.
"""

from __future__ import annotations

import re
import unicodedata

from errbot_sentry.domain.errors import UsageError

_QUOTES = str.maketrans(dict.fromkeys("“”„‟«»＂", '"') | dict.fromkeys("‘’‚‛", "'"))
# A word is a run of quoted parts and of other characters; inside quotes a backslash protects what follows. A quote that
# is not closed goes to the end, so that no part of the text is looked at twice.
_PART = re.compile(r'(?P<quoted>"(?:\\.|[^"\\])*)(?P<close>"|\\?\Z)|[^\s"]+|(?P<gap>\s+)', re.DOTALL)
_DASHES = "—–‒―−‐‑"
_TYPED_OPTION = re.compile(f"[-{_DASHES}]+(?P<name>[A-Za-z]+)")


def tidy(text: str) -> str:
    """The same text without invisible and control characters, with plain quotes; line breaks become spaces."""
    kept = (" " if ch.isspace() else ch for ch in text if ch.isspace() or unicodedata.category(ch) not in ("Cc", "Cf"))
    return "".join(kept).translate(_QUOTES).strip()


def split_words(text: str) -> tuple[str, ...]:
    """The words of a command; what stands in double quotes stays together and keeps its quotes.

    Raises:
        UsageError: a double quote is not closed.
    """
    words = [""]
    for part in _PART.finditer(tidy(text)):
        if part["gap"]:
            words.append("")
        elif part["quoted"] and part["close"] != '"':
            raise UsageError('A " is not closed.')
        else:
            words[-1] += part[0]
    return tuple(_plain_option(word) for word in words if word)


def leading_word(text: str) -> tuple[str, str]:
    """The first word, and the rest as it was typed: for words that are meant for people, not for a server."""
    head, *rest = text.strip().split(maxsplit=1) or [""]
    return tidy(head), "".join(rest).strip()


def unquote(word: str) -> str:
    """The word without the double quotes around it, for values that are not in the server's language."""
    if len(word) >= 2 and word[0] == word[-1] == '"':
        return re.sub(r'\\(["\\])', r"\1", word[1:-1])
    return word


def plain_dashes(word: str) -> str:
    """The word with every kind of dash as `-`: an id that went through a word processor is still that id."""
    return "".join("-" if ch in _DASHES else ch for ch in word)


def _plain_option(word: str) -> str:
    """`—yes` and `–n` as they were meant: `--yes` and `-n`; dashes anywhere else stay as they are."""
    form = _TYPED_OPTION.match(word)
    if form is None or not any(ch in _DASHES for ch in word[: form.start("name")]):
        return word
    return ("-" if len(form["name"]) == 1 else "--") + word[form.start("name") :]
