"""The scrubber: takes secrets out of texts, JSON-like values and lines of source code, by their shape or their name.

Lines of source code keep their names and calls; only literals that stand for a secret go. The lines around an error are
read together, because a bracket or a text may go over several of them; there are as many lines afterwards. They are a
window: where its first bracket was opened before it, the name is out of sight, and literals that stand alone on their
lines go.
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

# A name may have an annotation, an index or a bracket before its literal.
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
    """The lines, joined by line breaks, without secrets in their literals."""
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
    if clean.count("\n") != lines:  # a shape over the end of a line
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
    """A literal without pairs in it: "host=x password=y"."""
    text = match[0]
    clean = without_named_values(text, text.lower(), keep_lines=True)
    return clean if match["open"] is not None or clean[-1:] == text[-1:] else clean + text[-1:]


def _named(text: str) -> Iterator[tuple[int, int]]:
    """The literals behind names of secrets: one, several that make one text, or all of a bracket."""
    at = 0
    while match := _NAMED.search(text, at):
        at = match.end()
        if text[at : at + 1] in ("(", "[", "{"):
            end = end_of_brackets(text, at)
            yield from (found.span() for found in _LITERAL.finditer(text, at, end))
            at = end
            continue
        literal = _LITERAL.match(text, at)
        while literal:
            yield literal.span()
            at = literal.end()
            more = _GOES_ON.match(text, at)
            literal = _LITERAL.match(text, more.end()) if more else None


def _alone(text: str) -> Iterator[tuple[int, int]]:
    """The literals that stand alone on their lines in no bracket that was opened within sight."""
    if not _SOMEWHERE_ALONE.search(text):
        return
    opened = at = 0
    begins_line = True
    while at < len(text):
        found = _ALONE.match(text, at) if begins_line and not opened else None
        if found:
            yield found.span("value")
            at = found.end()
            begins_line = False
            continue
        token = _TOKEN.search(text, at)
        if token is None:
            return
        sign = token[0]
        at = token.end()
        if token["open"] is not None:
            at = token.start() + 3  # it ends a text that began before the window, or has no end in it
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
_PASSWORD_PROGRAM = re.compile("mysql|mariadb|sshpass")  # their -p is followed by a password
_PAIR_KEY = re.compile(r"""[bru]{0,2}(['"]?)([\w .-]{1,60})\1""")


def _mask_text(text: str, mails: bool) -> str:
    clean = without_named_values(text, text.lower())
    return without_shapes(clean, clean.lower(), mails)


_short_text = lru_cache(maxsize=8192)(_mask_text)


class Scrubber:
    """The rules, and the secrets that the bot itself knows (its DSN, its token): those go wherever they stand."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        forms = {form for secret in known if len(secret) >= 6 for form in _forms(secret)}
        self._known = tuple(sorted(forms, key=lambda form: (-len(form), form)))

    def text(self, text: str, mails: bool = True) -> str:
        """The text with secrets masked; `mails` False where addresses are names (rooms and people on XMPP)."""
        text = self._without_known(_whole(text))
        return _short_text(text, mails) if len(text) <= _LONGEST_CACHED else _mask_text(text, mails)

    def source(self, window: str) -> str:
        """Lines of source code, joined by line breaks, with their literal secrets masked; as many as before."""
        lines = "\n".join(map(_whole, window.split("\n"))) if "..." in window else window
        return source_without_secrets(self._without_known(lines))

    def value(self, value: Any) -> Any:
        """A JSON-like value with sensitive keys and all texts masked."""
        return cleaned(value, self.text)

    def _without_known(self, text: str) -> str:
        for secret in self._known:
            if secret in text:
                text = text.replace(secret, FILTERED)
        return text


def _forms(secret: str) -> Iterable[str]:
    """What programs make of a secret on its way into a text."""
    yield secret
    yield quote(secret, safe="")
    yield json.dumps(secret)[1:-1]
    yield repr(secret)[1:-1]
    for code in (base64.b64encode, base64.urlsafe_b64encode):
        yield code(secret.encode(errors="replace")).decode().rstrip("=")


def cleaned(value: Any, clean: Callable[[str], str], depth: int = 0) -> Any:
    """A JSON-like value: what has the name of a secret goes, and every other text, keys too, is what `clean` makes of
    it."""
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
    """A list. In pairs (lists of headers) and behind options (command lines) names count; of a private key that was
    split into lines, every line goes."""
    pairs = len(items) % 2 == 0
    program = _PASSWORD_PROGRAM.search(items[0]) if items and isinstance(items[0], str) else None
    made: list[Any] = []
    named = behind_option = in_key = False
    for number, item in enumerate(items):
        if not isinstance(item, str):
            made.append(FILTERED if named and item is not None else cleaned(item, clean, depth))
            named = behind_option = False
            continue
        ends = in_key and KEY_ENDS.search(item) is not None
        bare = item.strip("'\"")
        short = program is not None and bare.startswith("-p")
        made.append(FILTERED if named or behind_option or in_key or (short and bare != "-p") else clean(item))
        in_key = (in_key and not ends) or _begins_key(item)
        behind_option = "--" in item[:4] and "=" not in item and is_sensitive_name(item)
        behind_option = behind_option or (short and program is not None and program[0] == "sshpass")
        named = pairs and number % 2 == 0 and _names_a_secret(item)
    return made


def _begins_key(text: str) -> bool:
    if "rivate" not in text and "PRIVATE" not in text and "PuTTY" not in text:
        return False
    *_, begins = (-1, *(found.end() for found in KEY_BEGINS.finditer(text)))
    return begins >= 0 and KEY_ENDS.search(text, begins) is None


def _names_a_secret(text: str) -> bool:
    found = _PAIR_KEY.fullmatch(text)
    return found is not None and is_sensitive_name(found[2])


def _is_secret(key: Any, value: Any, among: Mapping[Any, Any]) -> bool:
    """Whether the value under this key is secret by a name: its key, or the `name` beside a `value`."""
    if value is None or not isinstance(key, str):
        return False
    if key == "value" and len(among) <= _MOST_BESIDE:
        named = among.get("name", among.get("key"))
        if isinstance(named, str) and is_sensitive_name(named):
            return True
    return is_sensitive_name(key)


def cut(text: str, longest: int) -> str:
    """A text of at most `longest` characters: without its last word, of which half a secret could be left."""
    return text if len(text) <= longest else _without_last_word(text[:longest]) + CUT


def _whole(text: str) -> str:
    """A text without the half word that is left where the SDK has cut it."""
    if len(text) > _LONGEST_CACHED and text.endswith("..."):
        return _without_last_word(text[:-3]) + CUT
    return text


def _without_last_word(text: str) -> str:
    end = max(text.rfind(space) for space in " \n\t")
    return text[: max(end, len(text) - _LONGEST_WORD, 0)]
