"""REF: the ways in which a person names an issue, as a small sum type. Reading asks nobody; finding.py does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from errbot_sentry.commands.typed_words import plain_dashes, unquote
from errbot_sentry.domain.errors import BadReference
from errbot_sentry.domain.typed_text import echo, read_number


@dataclass(frozen=True)
class ShortId:
    """`WEB-1A`, in any case; kept in capitals."""

    text: str


@dataclass(frozen=True)
class IssueId:
    """The server's own number of an issue."""

    text: str


@dataclass(frozen=True)
class UuidId:
    """A UUID with or without dashes: an issue's on Bugsink, else the id of an event."""

    text: str

    @property
    def dashed(self) -> str:
        return str(UUID(self.text))

    @property
    def plain(self) -> str:
        return UUID(self.text).hex


@dataclass(frozen=True)
class Url:
    """An issue's web address, as copied from a browser."""

    text: str


@dataclass(frozen=True)
class Row:
    """`#3`: a row of the last list shown in this conversation."""

    number: int


@dataclass(frozen=True)
class Latest:
    """`@latest`: the issue seen last, of the last list's query or of all that this place may see."""


@dataclass(frozen=True)
class InThread:
    """No word at all: the issue that the thread's alert is about."""


Reference = ShortId | IssueId | UuidId | Url | Row | Latest | InThread

WANTED = "an issue is written as WEB-1A, its number, its address, #3 from the last list, or @latest"

_ROW = re.compile(r"[#＃]([0-9]+)")
_ROWS = re.compile(r"#([0-9]+)(?:-|\.\.)#?([0-9]+),?")
_MOST_ROWS = 200
_HIGHEST_ROW = 9999
_NUMBER = re.compile(r"[0-9]{1,19}")
_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
_SHORT_ID = re.compile(r"[A-Z0-9][A-Z0-9_.-]{0,120}-[A-Z0-9]{1,12}", re.IGNORECASE)
_URL = re.compile(r"https?://\S+", re.IGNORECASE)
_LONGEST_URL = 2000


def read_reference(word: str) -> Reference:
    """What one word names; the empty word is the thread's issue.

    Raises:
        BadReference: the word has none of the forms.
    """
    text = _bare(word)
    if not text:
        return InThread()
    if _URL.fullmatch(text) and len(text) <= _LONGEST_URL:
        return Url(text)
    if text.lower() == "@latest":
        return Latest()
    if row := _ROW.fullmatch(text):
        return Row(_row(row[1], word))
    text = plain_dashes(text)
    if _UUID.fullmatch(text):
        return UuidId(text.lower())
    if _NUMBER.fullmatch(text):
        return IssueId(text.lstrip("0") or "0")
    if _SHORT_ID.fullmatch(text):
        return ShortId(text.upper())
    raise BadReference(f"{echo(word)} names no issue: {WANTED}.")


def expand_rows(words: Sequence[str]) -> tuple[str, ...]:
    """The words, with `#2-5` written out as `#2 #3 #4 #5`.

    Raises:
        BadReference: a range that runs backwards, or of more rows than anybody means.
    """
    expanded: list[str] = []
    for word in words:
        form = _ROWS.fullmatch(plain_dashes(word))
        if form is None:
            expanded.append(word)
            continue
        first, last = _row(form[1], word), _row(form[2], word)
        if not first <= last < first + _MOST_ROWS:
            raise BadReference(f"{echo(word)} is no range of rows such as #2-5.")
        expanded += [f"#{number}" for number in range(first, last + 1)]
    return tuple(expanded)


def _row(digits: str, word: str) -> int:
    try:
        return read_number(digits, 0, _HIGHEST_ROW)
    except ValueError as error:
        raise BadReference(f"{echo(word)} names no issue: {WANTED}.") from error


def _bare(word: str) -> str:
    """The word without what chat programs and sentences put around it: `<url|text>`, quotes, code or bold, a comma."""
    text = unquote(word.strip())
    if text.startswith("<"):
        text = text[1:].rstrip(">,;").partition("|")[0]
    return text.rstrip(",;:.)").strip("`* ")
