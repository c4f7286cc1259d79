"""Lines of source code keep their names and calls; only literals that stand for a secret go.

The lines around an error are read together, because a bracket or a text may go over several of them; there are as many
lines afterwards. They are a window: where its first bracket was opened before it, the
name is out of sight, and literals that stand alone on their lines go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

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
def without_secrets(window: str) -> str:
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
