"""Splits a search into terms, for servers that know only a part of Sentry's search language.

Grammar as in sentry-docs `docs/concepts/search/index.mdx`: `key:value`, `!key:value`, quotes around spaces, `OR`,
brackets. Sentry itself gets the text as it was typed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from errbot_sentry.domain.errors import Unsupported
from errbot_sentry.domain.issues import ARCHIVED, RESOLVED, UNRESOLVED

# A term: an optional "!" or "-", an optional key with a colon, then a quoted or a plain value; or a bracket.
_TERM = re.compile(
    r"""
    (?P<bracket>[()]) |
    (?P<not>!|-(?=[A-Za-z][\w.]*:))? (?:(?P<key>[A-Za-z][\w.-]*):(?!//)(?=\S))?
    (?: "(?P<quoted>(?:[^"\\]|\\.)*)(?:"|\\?\Z) | (?P<plain>[^\s"()]+|"|(?<=\S)[()]) )
    """,
    re.VERBOSE,
)
_STATUSES = {
    "unresolved": UNRESOLVED,
    "resolved": RESOLVED,
    "ignored": ARCHIVED,
    "archived": ARCHIVED,
    "muted": ARCHIVED,
}


@dataclass(frozen=True)
class Term:
    """One term; `key` is "" for a word of free text."""

    value: str
    key: str = ""
    negated: bool = False
    quoted: bool = False

    @property
    def name(self) -> str:
        """The term as a sentence may quote it, without the person's own words, which must not be repeated unescaped."""
        simple = self.value if re.fullmatch(r"[a-z_]{1,30}|OR|[()]", self.value) and self.key in ("", "is") else "…"
        return ("!" if self.negated else "") + (f"{self.key[:50]}:" if self.key else "") + simple


def terms_of(text: str) -> tuple[Term, ...]:
    """All terms in order. Nothing is refused; what follows an unclosed quote is one term."""
    found = []
    for match in _TERM.finditer(text):
        quoted = match["quoted"]
        value = match["bracket"] or (match["plain"] if quoted is None else re.sub(r'\\(["\\])', r"\1", quoted)) or ""
        found.append(Term(value, match["key"] or "", bool(match["not"]), quoted is not None))
    return tuple(found)


def names_a_status(text: str) -> bool:
    """Whether the search names a status (`is:resolved`), so that none must be added."""
    return any(term.key == "is" and term.value.lower() in _STATUSES for term in terms_of(text))


@dataclass(frozen=True)
class Search:
    """A search without negation, brackets and OR: its status, its keys with values, and its words."""

    status: str | None
    keys: tuple[Term, ...]
    words: tuple[str, ...]


def plain_search(server: str, text: str, status: str | None) -> Search:
    """The search, for a server that cannot combine or exclude terms; `is:` replaces the given `status`.

    Raises:
        Unsupported: names the term that the server cannot search for.
    """
    keys, words = [], []
    for term in terms_of(text):
        operator = "" if term.key or term.quoted else term.value
        if term.negated or operator in ("(", ")", "OR"):
            raise Unsupported(f"{server} cannot search with NOT, OR or brackets: leave out {term.name}.")
        if term.key == "is":
            if term.value.lower() not in _STATUSES:
                raise Unsupported(f"{server} knows is:unresolved, is:resolved and is:archived, but not {term.name}.")
            status = _STATUSES[term.value.lower()]
        elif term.key:
            keys.append(term)
        elif operator != "AND":
            words.append(term.value)
    return Search(status, tuple(keys), tuple(words))
