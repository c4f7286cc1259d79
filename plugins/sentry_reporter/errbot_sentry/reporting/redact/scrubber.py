"""The scrubber: removes secrets from texts, JSON-like values and source code, by their shape or their name.

In source code, only literals with secrets are masked; names and calls stay. The lines around an error are read
together, because a bracket or a text may span several lines, and their number stays the same. They are only a window of
the file: a bracket may have been opened before it, with the name of a secret. So literals that stand alone on their
lines, outside of any bracket opened in the window, are masked too.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from errbot_sentry.reporting.redact.named_values import (
    end_of_brackets,
    without_named_values,
    without_option_values,
)
from errbot_sentry.reporting.redact.secret_shapes import (
    FILTERED,
    KEY_BEGINS,
    KEY_ENDS,
    NAME,
    is_sensitive_name,
    may_name_a_secret,
    without_shapes,
)

# Between a name and its literal there may be an annotation, an index or a bracket.
_NAMED = re.compile(rf"""(?i){NAME}["']?[\])]?\s*(?::\s*[\w.\[\], |"']{{1,60}}=|:=|[=!]=|[=:,(])(?:\s|\\\n)*""")
_LITERAL = re.compile(
    r"""(?P<prefix>[bruf]{0,2})(?:(?P<triple>\"{3}|'{3})(?:[^\\]|\\[\s\S])*?(?:(?P=triple)|(?P<open>\Z))"""
    r"""|"(?:[^"\\\n]|\\[\s\S])*(?:"|(?=\n)|\\?\Z)|'(?:[^'\\\n]|\\[\s\S])*(?:'|(?=\n)|\\?\Z))""",
    re.IGNORECASE,
)
_GOES_ON = re.compile(r"(?:[ \t]*\\?\n?\s*[+%]?\s*|\s*[+%]?\s*\\?\n?\s*)(?=[bruf]{0,2}[\"'])", re.IGNORECASE)
_TOKEN = re.compile(rf"#[^\n]*|\n|[()\[\]{{}}]|{_LITERAL.pattern}", re.IGNORECASE)
_ALONE = re.compile(
    r"""[ \t]*(?P<key>[bru]{0,2}(?:"[^"\n]*"|'[^'\n]*')[ \t]*:[ \t]*)?"""
    r"""(?P<value>[bruf]{0,2}(?:"(?!"")(?:[^"\\\n]|\\.)*"|'(?!'')(?:[^'\\\n]|\\.)*'))"""
    r"""[ \t]*,?[ \t]*(?:#[^\n]*)?(?=\n|\Z)""",
    re.IGNORECASE,
)
_SOMEWHERE_ALONE = re.compile(rf"^(?:{_ALONE.pattern})", re.IGNORECASE | re.MULTILINE)


@lru_cache(maxsize=1024)
def source_without_secrets(window: str) -> str:
    """Lines of source code, joined by line breaks, without secrets in their literals."""
    low = window.lower()
    lines = window.count("\n")
    if "private" in low and (KEY_BEGINS.search(window) or KEY_ENDS.search(window)):
        return "\n".join([FILTERED] * (lines + 1))
    if '"' in low or "'" in low:
        window = _replaced(window, _alone(window))
        if may_name_a_secret(low):
            window = _replaced(window, _named(window))
            window = _LITERAL.sub(_inner, window)
            if "--" in low:
                window = without_option_values(window)
    clean = without_shapes(window, low)
    if clean.count("\n") != lines:  # a shape matched across the end of a line
        clean = "\n".join(without_shapes(line, line.lower()) for line in window.split("\n"))
    return clean


def _replaced(text: str, places: Iterator[tuple[int, int]]) -> str:
    pieces = []
    done = 0
    for start, end in places:
        if start >= done:
            pieces += [text[done:start], _literal(text[start:end])]
            done = end
    return "".join([*pieces, text[done:]]) if pieces else text


def _literal(text: str) -> str:
    return f'"{FILTERED}"' + "\n" * text.count("\n")


def _inner(match: re.Match[str]) -> str:
    """A literal without the values of secret names inside it, as in "host=x password=y"."""
    text = match[0]
    clean = without_named_values(text, text.lower(), keep_lines=True)
    return clean if match["open"] is not None or clean[-1:] == text[-1:] else clean + text[-1:]


def _named(text: str) -> Iterator[tuple[int, int]]:
    """The places of literals after names of secrets: one literal, adjacent ones, or all in a bracket."""
    at = 0
    while match := _NAMED.search(text, at):
        at = match.end()
        if text[at : at + 1] in ("(", "[", "{"):
            end = end_of_brackets(text, at)
            yield from (literal.span() for literal in _LITERAL.finditer(text, at, end))
            at = end
            continue
        literal = _LITERAL.match(text, at)
        while literal:
            yield literal.span()
            at = literal.end()
            more = _GOES_ON.match(text, at)
            literal = _LITERAL.match(text, more.end()) if more else None


def _alone(text: str) -> Iterator[tuple[int, int]]:
    """The places of literals that stand alone on their lines, outside of any bracket opened in the window."""
    if not _SOMEWHERE_ALONE.search(text):
        return
    opened = at = 0
    begins_line = True
    while at < len(text):
        alone = _ALONE.match(text, at) if begins_line and not opened else None
        if alone:
            yield alone.span("value")
            at = alone.end()
            begins_line = False
            continue
        token = _TOKEN.search(text, at)
        if token is None:
            return
        sign = token[0]
        at = token.end()
        if token["open"] is not None:
            at = token.start() + 3  # these triple quotes end a text from before the window, or open one without end
        begins_line = sign == "\n"
        if sign in ("(", "[", "{"):
            opened += 1
        elif sign in (")", "]", "}"):
            opened = max(0, opened - 1)


__all__ = ["CUT", "FILTERED", "Scrubber", "cleaned", "cut", "is_sensitive_name"]

CUT = "…"
_LONGEST_CACHED = 200
_LONGEST_WORD = 1000
_MOST_BESIDE = 8
_DEEPEST = 40
_PASSWORD_PROGRAM = re.compile("mysql|mariadb|sshpass")  # the option -p of these programs has a password
_PAIR_KEY = re.compile(r"""[bru]{0,2}(['"]?)([\w .-]{1,60})\1""")


def _mask_text(text: str, mails: bool) -> str:
    clean = without_named_values(text, text.lower())
    return without_shapes(clean, clean.lower(), mails)


_short_text = lru_cache(maxsize=8192)(_mask_text)


class Scrubber:
    """Masks secrets by the rules, and the bot's own secrets (its DSN, its token) wherever they are."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        forms = {form for secret in known if len(secret) >= 6 for form in _forms(secret)}
        self._known = tuple(sorted(forms, key=lambda form: (-len(form), form)))

    def text(self, text: str, mails: bool = True) -> str:
        """The text with secrets masked. Without `mails`, mail addresses stay, as names on XMPP look like them."""
        text = self._without_known(_whole(text))
        return _short_text(text, mails) if len(text) <= _LONGEST_CACHED else _mask_text(text, mails)

    def source(self, window: str) -> str:
        """Lines of source code, joined by line breaks, with secrets in literals masked. The number of lines stays."""
        lines = "\n".join(map(_whole, window.split("\n"))) if "..." in window else window
        return source_without_secrets(self._without_known(lines))

    def value(self, value: Any) -> Any:
        """A JSON-like value with the values of sensitive keys and the secrets in all texts masked."""
        return cleaned(value, self.text)

    def _without_known(self, text: str) -> str:
        for secret in self._known:
            if secret in text:
                text = text.replace(secret, FILTERED)
        return text


def _forms(secret: str) -> Iterable[str]:
    """The forms of a secret in texts: as it is, escaped, and in base64."""
    yield secret
    yield quote(secret, safe="")
    yield json.dumps(secret)[1:-1]
    yield repr(secret)[1:-1]
    for code in (base64.b64encode, base64.urlsafe_b64encode):
        yield code(secret.encode(errors="replace")).decode().rstrip("=")


def cleaned(value: Any, clean: Callable[[str], str], depth: int = 0) -> Any:
    """A JSON-like value, with values of secret names masked, and every other text (also keys) changed by `clean`."""
    if isinstance(value, str):
        return clean(value)
    if depth > _DEEPEST:
        return FILTERED
    if isinstance(value, dict):
        return {
            clean(key) if isinstance(key, str) else key: FILTERED
            if _is_secret(key, item, value)
            else cleaned(item, clean, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return _items(value, clean, depth + 1)
    return value


def _items(items: Sequence[Any], clean: Callable[[str], str], depth: int) -> list[Any]:
    """Mask a list.

    It may be a list of pairs (such as headers) or a command line, in which an item is secret by the name before it. If
    it has the lines of a private key, every line is masked.
    """
    pairs = len(items) % 2 == 0
    program = _PASSWORD_PROGRAM.search(items[0]) if items and isinstance(items[0], str) else None
    masked: list[Any] = []
    named = behind_option = in_key = False
    for number, item in enumerate(items):
        if not isinstance(item, str):
            masked.append(FILTERED if named and item is not None else cleaned(item, clean, depth))
            named = behind_option = False
            continue
        ends = in_key and KEY_ENDS.search(item) is not None
        bare = item.strip("'\"")
        short = program is not None and bare.startswith("-p")
        masked.append(FILTERED if named or behind_option or in_key or (short and bare != "-p") else clean(item))
        in_key = (in_key and not ends) or _begins_key(item)
        behind_option = "--" in item[:4] and "=" not in item and is_sensitive_name(item)
        behind_option = behind_option or (short and program is not None and program[0] == "sshpass")
        named = pairs and number % 2 == 0 and _names_a_secret(item)
    return masked


def _begins_key(text: str) -> bool:
    if "rivate" not in text and "PRIVATE" not in text and "PuTTY" not in text:
        return False
    *_, begins = (-1, *(match.end() for match in KEY_BEGINS.finditer(text)))
    return begins >= 0 and KEY_ENDS.search(text, begins) is None


def _names_a_secret(text: str) -> bool:
    key = _PAIR_KEY.fullmatch(text)
    return key is not None and is_sensitive_name(key[2])


def _is_secret(key: Any, value: Any, among: Mapping[Any, Any]) -> bool:
    """Whether the value of this key is secret by its key, or, if the key is `value`, by the `name` beside it."""
    if value is None or not isinstance(key, str):
        return False
    if key == "value" and len(among) <= _MOST_BESIDE:
        named = among.get("name", among.get("key"))
        if isinstance(named, str) and is_sensitive_name(named):
            return True
    return is_sensitive_name(key)


def cut(text: str, longest: int) -> str:
    """The text, cut to `longest` characters. The last word of a cut text goes too, as it could be half a secret."""
    return text if len(text) <= longest else _without_last_word(text[:longest]) + CUT


def _whole(text: str) -> str:
    """The text without its last word if the SDK has cut it."""
    if len(text) > _LONGEST_CACHED and text.endswith("..."):
        return _without_last_word(text[:-3]) + CUT
    return text


def _without_last_word(text: str) -> str:
    end = max(text.rfind(space) for space in " \n\t")
    return text[: max(end, len(text) - _LONGEST_WORD, 0)]
