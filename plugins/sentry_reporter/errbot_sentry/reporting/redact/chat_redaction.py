"""Masks the words that a person typed to the bot, wherever the code has copied them.

Words and texts are compared in a plain form, in which case, accents, Unicode forms and escapes (of JSON or URLs) make
no difference. The plain form of a text has the position of each letter in the original text, so that a word found in
the plain form can be replaced in the original. Typed words never become regular expressions: they are searched for as
strings, so the time is proportional to the length of the text and the number of words, whatever they contain.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

# Accents and vowel signs, which are characters of their own after NFKD, and invisible characters.
_MARKS = re.compile(
    "[\u00ad\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u0610-\u061a\u064b-\u065f\u0670\u180b-\u180e\u1ab0-\u1aff"
    "\u1dc0-\u1dff\u200b-\u200f\u202a-\u202e\u2060-\u2064\u20d0-\u20ff\u3099\u309a\ufe00-\ufe0f\ufe20-\ufe2f\ufeff]+"
)
_HEX = "[0-9a-fA-F]"
# A text printed inside of another has its backslashes doubled, so any number of them may begin an escape. The pattern
# only tries a run of backslashes at its beginning.
_ESCAPES = re.compile(
    rf"(?P<bytes>(?:(?<!\\)\\+x{_HEX}{{2}})+)|(?P<units>(?:(?<!\\)\\+u{_HEX}{{4}})+)|(?P<point>(?<!\\)\\+U{_HEX}{{8}})"
    rf"|(?P<address>(?:%(?:25)*{_HEX}{{2}})+)|(?P<entity>&\#(?:[0-9]{{1,7}}|[xX]{_HEX}{{1,6}});)"
    r"|(?P<space>(?<!\\)\\+[nrtfv])"
)
_BYTE = re.compile(rf"(?:\\+x|%(?:25)*)({_HEX}{{2}})")
_UNIT = re.compile(rf"\\+u({_HEX}{{4}})")


def folded(text: str) -> str:
    """The plain form of a text, without reading its escapes."""
    return text.lower() if text.isascii() else without_case(without_marks(text))


def without_marks(text: str) -> str:
    """The text in Unicode's form NFKD without accents. Upper and lower case stay."""
    return text if text.isascii() else _MARKS.sub("", unicodedata.normalize("NFKD", text))


def without_case(text: str) -> str:
    """The text in lower case, also if a letter becomes several ones or (the Turkish I) an unusual one."""
    return text.casefold().replace("ı", "i")


@lru_cache(maxsize=4096)
def _folded_letter(letter: str) -> str:
    return without_case(without_marks(letter))


@dataclass(frozen=True)
class SpelledText:
    """The plain form of `source`.

    `starts` and `ends` have the position of each letter in the source; None means that the positions are the same.
    """

    text: str
    source: str
    starts: array[int] | None = None
    ends: array[int] | None = None

    def place(self, start: int, end: int) -> tuple[int, int]:
        """The position in the source of a part of the plain form."""
        if self.starts is None or self.ends is None:
            return start, end
        return self.starts[start], self.ends[end - 1]

    def letter(self, at: int) -> str:
        """The letter of the source for a letter of the plain form."""
        return self.source[at if self.starts is None else self.starts[at]]


def has_escapes(text: str) -> bool:
    """Whether the text may contain escapes."""
    return "\\" in text or "%" in text or "&#" in text


def views_of(text: str) -> list[SpelledText]:
    """The plain forms of a text: one with its escapes unread, and, if it has any, one with its escapes read."""
    if not has_escapes(text):
        return [_unread(text)]
    return [_unread(text), _read(text)]


def _unread(text: str) -> SpelledText:
    if text.isascii():
        return SpelledText(text.lower(), text)
    builder = _Builder()
    builder.add_plain(text, 0, len(text))
    return builder.view(text)


def _read(text: str) -> SpelledText:
    builder = _Builder()
    at = 0
    for match in _ESCAPES.finditer(text):
        builder.add_plain(text, at, match.start())
        at = match.end()
        kind = match.lastgroup
        if kind in ("bytes", "address"):
            builder.add_bytes(
                [(code.start(), code.end(), int(code[1], 16)) for code in _BYTE.finditer(text, *match.span())]
            )
        elif kind == "units":
            builder.add_units(
                [(code.start(), code.end(), int(code[1], 16)) for code in _UNIT.finditer(text, *match.span())]
            )
        elif kind == "space":
            builder.add(" ", *match.span())
        else:
            digits = match[0].lstrip("\\&#U;").rstrip(";")
            number = int(digits.lstrip("xX"), 16 if kind == "point" or digits[:1] in "xX" else 10)
            builder.add(chr(number) if number < 0x110000 else " ", *match.span())
    builder.add_plain(text, at, len(text))
    return builder.view(text)


class _Builder:
    """Collects the letters of a plain form with their positions in the source."""

    def __init__(self) -> None:
        self._letters: list[str] = []
        self._starts = array("q")
        self._ends = array("q")

    def view(self, source: str) -> SpelledText:
        return SpelledText("".join(self._letters), source, self._starts, self._ends)

    def add_plain(self, text: str, start: int, end: int) -> None:
        """Add a part of the source without escapes."""
        piece = text[start:end]
        if piece.isascii():
            self._letters.append(piece.lower())
            self._starts.extend(range(start, end))
            self._ends.extend(range(start + 1, end + 1))
        else:
            for at, letter in enumerate(piece, start):
                self.add(letter, at, at + 1)

    def add(self, letter: str, start: int, end: int) -> None:
        """Add one letter. A lone accent has no plain form, and extends the letter before it."""
        plain = letter.lower() if letter.isascii() else _folded_letter(letter)
        if not plain and self._ends:
            self._ends[-1] = end
        for part in plain:
            self._letters.append(part)
            self._starts.append(start)
            self._ends.append(end)

    def add_bytes(self, codes: list[tuple[int, int, int]]) -> None:
        """Add escaped bytes: UTF-8, or if they are not, one letter each, as in the repr of a str."""
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
        """Add escaped units of UTF-16, in which a character beyond U+FFFF has two."""
        at = 0
        while at < len(codes):
            number, size = codes[at][2], 1
            if 0xD800 <= number < 0xDC00 and at + 1 < len(codes) and 0xDC00 <= codes[at + 1][2] < 0xE000:
                number, size = 0x10000 + ((number - 0xD800) << 10) + (codes[at + 1][2] - 0xDC00), 2
            self.add(chr(number), codes[at][0], codes[at + size - 1][1])
            at += size


SEND, SCRUB, DROP = "send", "scrub", "drop"
"""The values of SENTRY_CHAT_TEXT: typed words are sent, are only sent in an exception's own text, or are never sent."""
CHAT = "[chat]"
LONGEST_READ = 100_000
"""How many characters of typed text are split into words. If there are more, every text is masked."""
# The longest words, up to this number, are also found inside other words. The others are only found as whole words.
_MOST_WORDS = 200
_SHORTEST = 3
# A word of this length is always masked inside other words: the name in `user_alexandra` is still the name.
_LONG = 6
_WORD = re.compile(r"[^\s\"'`,;()\[\]{}<>=]+")
# The parts into which programs split a word: owner/project, host:port, first-last, FirstLast, first_last2.
_PIECE = re.compile(r"\w+")
_PART = re.compile(r"[^\W\d_]+|\d+")
_HUMP = re.compile(r"(?<=[a-zß-öø-ÿа-я])(?=[A-ZÀ-ÖØ-ÞА-Я])|(?<=[A-Z])(?=[A-Z][a-z])")
# These parts of a typed address say nothing about a person.
_UNMASKED = frozenset({"http", "https", "www", "com", "org", "net"})
_QUOTED = re.compile(r"""[bu]?(["'])(.*)\1""", re.DOTALL)


class ChatMask:
    """Masks the words of one message. Words in `spared`, such as the command's name, stay readable."""

    def __init__(self, typed: Iterable[str], spared: Iterable[str] = ()) -> None:
        texts = tuple(typed)
        self._everything = sum(map(len, texts)) > LONGEST_READ
        readable = {folded(part) for name in spared for part in (name, *_WORD.findall(name.replace("_", " ")))}
        words: set[str] = set()
        if not self._everything:
            words = {
                word for text in _readings(texts) for word in _words_of(text) if word.lstrip("!/.") not in readable
            }
        self._exact = frozenset(words)
        longest_first = sorted((word for word in words if len(word) >= _SHORTEST), key=lambda word: (-len(word), word))
        self._hints = tuple(longest_first[:_MOST_WORDS])
        self._rest = frozenset(longest_first[_MOST_WORDS:])
        self._plain = all(text.isascii() and not has_escapes(text) for text in texts)  # the words have one spelling
        self.price = 1 + len(self._hints) // 64
        """The cost of masking one character; 1 is the cost of a character if there are few words to find."""

    def __bool__(self) -> bool:
        return self._everything or bool(self._exact)

    def __call__(self, text: str) -> str:
        """The text with the words masked."""
        if self._everything:
            return CHAT if text else text
        low = folded(text)
        if len(low) <= _SHORTEST + 2 and self._is_word(low):
            return CHAT
        unread = not self._plain and has_escapes(text)
        if not (unread or self._rest or any(hint in low for hint in self._hints)):
            return CHAT if self._is_word(low) else text
        return _without(text, [view.place(*span) for view in views_of(text) for span in self._found(view)])

    def _is_word(self, low: str) -> bool:
        inner = _QUOTED.fullmatch(low)
        return (inner[2] if inner else low) in self._exact

    def _found(self, view: SpelledText) -> Iterator[tuple[int, int]]:
        text = view.text
        for word in self._hints:
            at = text.find(word)
            while at >= 0:
                end = at + len(word)
                if len(word) >= _LONG or (_is_edge(view, at, at - 1) and _is_edge(view, end, end)):
                    yield at, end
                    at = text.find(word, end)
                else:
                    at = text.find(word, at + 1)
        if self._rest:
            for pattern in (_PIECE, _PART):
                yield from (match.span() for match in pattern.finditer(text) if match[0] in self._rest)


def _is_edge(view: SpelledText, at: int, outside: int) -> bool:
    """Whether a word may begin or end before position `at`; `outside` is the position of the neighbour not in the word.

    It may if the neighbour is not an ASCII letter or digit, between a letter and a digit, or at a capital letter after
    a small one.
    """
    if at in (0, len(view.text)):
        return True
    neighbour = view.text[outside]
    if not (neighbour.isascii() and neighbour.isalnum()) or view.text[at - 1].isdigit() != view.text[at].isdigit():
        return True
    return view.letter(at).isupper() and view.letter(at - 1).islower()


def _without(text: str, places: list[tuple[int, int]]) -> str:
    """The text with these places replaced; overlapping places are replaced together."""
    if not places:
        return text
    places.sort()
    pieces = []
    done, (start, end) = 0, places[0]
    for begins, ends in places[1:]:
        if begins < end:
            end = max(end, ends)
            continue
        pieces += [text[done:start], CHAT]
        done, start, end = end, begins, ends
    pieces += [text[done:start], CHAT, text[end:]]
    return "".join(pieces)


def _readings(texts: Iterable[str]) -> Iterator[str]:
    """The texts, and the plain forms with their escapes read: a program may decode a URL that somebody typed."""
    for text in texts:
        yield text
        yield from (view.text for view in views_of(text)[1:])


def _words_of(text: str) -> Iterator[str]:
    """The whole text, its words and the parts of its words, in the plain form in which they are searched for."""
    plain = without_marks(text)
    for word in (plain.strip(), *_WORD.findall(plain)):
        bare = word.strip(".!?:")
        if bare:
            yield without_case(bare)
    for piece in _PIECE.findall(plain):
        yield from _pieces_of(piece)


def _pieces_of(piece: str) -> Iterator[str]:
    parts = _PART.findall(piece)
    humps = [hump for part in parts for hump in _HUMP.split(part)]
    for word in (piece, *piece.split("_"), *parts, *humps):
        low = without_case(word)
        if len(low) >= _SHORTEST and low not in _UNMASKED:
            yield low


@lru_cache(maxsize=128)
def mask_of(typed: tuple[str, ...], spared: tuple[str, ...]) -> ChatMask:
    """The mask of these words; cached, because all breadcrumbs of one command use the same one."""
    return ChatMask(typed, spared)
