"""One spelling for all that programs make of a word: case, accents, Unicode forms, escapes of JSON and addresses.

Two texts say the same when their plain forms are equal. A plain form knows for each of its letters where it stood in
the text, so what is found there can be cut out here. Everything takes time in proportion to the text.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from dataclasses import dataclass
from functools import lru_cache

# Accents and vowel signs that stand for themselves after NFKD, and invisible letters.
_MARKS = re.compile(
    "[\u00ad\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u0610-\u061a\u064b-\u065f\u0670\u180b-\u180e\u1ab0-\u1aff"
    "\u1dc0-\u1dff\u200b-\u200f\u202a-\u202e\u2060-\u2064\u20d0-\u20ff\u3099\u309a\ufe00-\ufe0f\ufe20-\ufe2f\ufeff]+"
)
_HEX = "[0-9a-fA-F]"
# Text inside of text has its backslashes doubled: any run of them escapes. A run is tried once, at its beginning.
_ESCAPES = re.compile(
    rf"(?P<bytes>(?:(?<!\\)\\+x{_HEX}{{2}})+)|(?P<units>(?:(?<!\\)\\+u{_HEX}{{4}})+)|(?P<point>(?<!\\)\\+U{_HEX}{{8}})"
    rf"|(?P<address>(?:%(?:25)*{_HEX}{{2}})+)|(?P<entity>&\#(?:[0-9]{{1,7}}|[xX]{_HEX}{{1,6}});)"
    r"|(?P<space>(?<!\\)\\+[nrtfv])"
)
_BYTE = re.compile(rf"(?:\\+x|%(?:25)*)({_HEX}{{2}})")
_UNIT = re.compile(rf"\\+u({_HEX}{{4}})")


def folded(text: str) -> str:
    """The plain form of a text as it stands, escapes and all."""
    return text.lower() if text.isascii() else without_case(without_marks(text))


def without_marks(text: str) -> str:
    """The text in compatible, decomposed letters without their accents; upper and lower case stay."""
    return text if text.isascii() else _MARKS.sub("", unicodedata.normalize("NFKD", text))


def without_case(text: str) -> str:
    """Lower case, also where upper case has more letters, or (the Turkish I) another one."""
    return text.casefold().replace("ı", "i")


@lru_cache(maxsize=4096)
def _folded_letter(letter: str) -> str:
    return without_case(without_marks(letter))


@dataclass(frozen=True)
class SpelledText:
    """A plain form; `starts` and `ends` are where each of its letters was in the source, None for the same places."""

    text: str
    source: str
    starts: array[int] | None = None
    ends: array[int] | None = None

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Where a piece of the plain form stood in the source."""
        if self.starts is None or self.ends is None:
            return start, end
        return self.starts[start], self.ends[end - 1]

    def letter(self, at: int) -> str:
        """The letter of the source behind one of the plain form."""
        return self.source[at if self.starts is None else self.starts[at]]


def has_escapes(text: str) -> bool:
    """Whether anything in the text may stand for other letters."""
    return "\\" in text or "%" in text or "&#" in text


def views_of(text: str) -> list[SpelledText]:
    """The text as it stands, and, where it has escapes, with these read."""
    if not has_escapes(text):
        return [_as_it_stands(text)]
    return [_as_it_stands(text), _read(text)]


def _as_it_stands(text: str) -> SpelledText:
    if text.isascii():
        return SpelledText(text.lower(), text)
    made = _Builder()
    made.add_plain(text, 0, len(text))
    return made.view(text)


def _read(text: str) -> SpelledText:
    made = _Builder()
    at = 0
    for match in _ESCAPES.finditer(text):
        made.add_plain(text, at, match.start())
        at = match.end()
        kind = match.lastgroup
        if kind in ("bytes", "address"):
            made.add_bytes(
                [(found.start(), found.end(), int(found[1], 16)) for found in _BYTE.finditer(text, *match.span())]
            )
        elif kind == "units":
            made.add_units(
                [(found.start(), found.end(), int(found[1], 16)) for found in _UNIT.finditer(text, *match.span())]
            )
        elif kind == "space":
            made.add(" ", *match.span())
        else:
            digits = match[0].lstrip("\\&#U;").rstrip(";")
            number = int(digits.lstrip("xX"), 16 if kind == "point" or digits[:1] in "xX" else 10)
            made.add(chr(number) if number < 0x110000 else " ", *match.span())
    made.add_plain(text, at, len(text))
    return made.view(text)


class _Builder:
    """Letters and their places, one after the other."""

    def __init__(self) -> None:
        self._letters: list[str] = []
        self._starts = array("q")
        self._ends = array("q")

    def view(self, source: str) -> SpelledText:
        return SpelledText("".join(self._letters), source, self._starts, self._ends)

    def add_plain(self, text: str, start: int, end: int) -> None:
        """A piece that stands for itself."""
        piece = text[start:end]
        if piece.isascii():
            self._letters.append(piece.lower())
            self._starts.extend(range(start, end))
            self._ends.extend(range(start + 1, end + 1))
        else:
            for at, letter in enumerate(piece, start):
                self.add(letter, at, at + 1)

    def add(self, letter: str, start: int, end: int) -> None:
        """One letter; an accent belongs to the letter before it."""
        plain = letter.lower() if letter.isascii() else _folded_letter(letter)
        if not plain and self._ends:
            self._ends[-1] = end
        for part in plain:
            self._letters.append(part)
            self._starts.append(start)
            self._ends.append(end)

    def add_bytes(self, codes: list[tuple[int, int, int]]) -> None:
        """Bytes: UTF-8, or what a str's repr makes of one letter."""
        raw = bytes(number for _, _, number in codes)
        try:
            text, sizes = raw.decode(), None
        except UnicodeDecodeError:
            text, sizes = raw.decode("latin-1"), 1
        at = 0
        for letter in text:
            size = sizes or len(letter.encode())
            self.add(letter, codes[at][0], codes[at + size - 1][1])
            at += size

    def add_units(self, codes: list[tuple[int, int, int]]) -> None:
        """UTF-16: a letter beyond the first 65,536 has two of them."""
        at = 0
        while at < len(codes):
            number, size = codes[at][2], 1
            if 0xD800 <= number < 0xDC00 and at + 1 < len(codes) and 0xDC00 <= codes[at + 1][2] < 0xE000:
                number, size = 0x10000 + ((number - 0xD800) << 10) + (codes[at + 1][2] - 0xDC00), 2
            self.add(chr(number), codes[at][0], codes[at + size - 1][1])
            at += size
