"""Numbered lists as a backend shows them best: in columns between fences, or one line of facts per row.

Columns need a fixed width, and only a fenced block has it; there bold and links are plain characters, so the numbers
become links below the block where a backend can hide an address behind a word (docs/adr/0008).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, zip_longest

from msgspec.structs import replace
from wcwidth import wcswidth, wcwidth

from errbot_sentry.chat.render.escaping import Escape, plain
from errbot_sentry.domain.conversation import Row

# IRC is line by line; Telegram is read on phones, which wrap the lines of a block.
_LINE_MODES = frozenset({"irc", "telegram"})
_NAMED_LINKS = frozenset({"slackv3", "discord", "mattermost", "zulip"})
_LINKS_BELOW = frozenset({"xmpp"})

LINE_BYTES = 400  # of a row on one line: IRC refuses lines beyond about 490 bytes
WIDEST = 80  # display columns of a line; longer ones wrap in most windows
# Discord takes 2000 characters in a message, of which ten addresses can be half. Rather than in two messages a list
# comes with less on each line; so much is left for what stands above it.
_MOST_ON_DISCORD, _NARROW = 1900, 58
_WIDEST_CELL = 32
_LEAST_LAST = 24  # what may be cut keeps at least this much, even if the line gets longer
_ONE_COLUMN = re.compile("[ -~▁-█‼✗▲○·→…✓]*")  # what our own facts are written with
_GAP = "  "
_SEPARATOR = " · "


class Table:
    """Lays rows out for one backend, as the lines of a rendered template; all values are escaped here."""

    def __init__(self, mode: str, escape: Escape) -> None:
        self._mode = mode.lower()
        self._escape = escape

    def render(self, rows: Sequence[Row], *below: str) -> str:
        """The rows as Markdown lines, and below them further lines of text, empty ones left out."""
        below = tuple(line for line in below if line)
        if self._mode in _LINE_MODES or not rows:
            return "\n".join([*map(self._line, rows), *map(self._escape.text, below)])
        links = [self._escape.href(row.link) if row.link else "" for row in rows]
        if self._mode in _NAMED_LINKS or self._mode in _LINKS_BELOW:
            outside = [*self._links(rows, links), *map(self._escape.text, below)]
            whole = "\n".join([*self._block(rows, [""] * len(rows), ()), *outside])
            if self._mode != "discord" or len(whole) <= _MOST_ON_DISCORD:
                return whole
            shorter = [replace(row, about="") for row in rows]
            return "\n".join([*self._block(shorter, [""] * len(rows), (), _NARROW), *outside])
        return "\n".join(self._block(rows, links, below))

    def _block(
        self, rows: Sequence[Row], links: Sequence[str], below: Sequence[str], widest: int = WIDEST
    ) -> list[str]:
        """A fenced block of the entries, each with its address where there is one."""
        entries = _entries(rows, widest)
        # No value has a line end left, so the escaped lines are as many.
        text = "\n".join([*chain.from_iterable(entries), *map(plain, below)])
        lines = self._escape.block(text).split("\n")
        shown, indent, taken = ["```"], _indent(rows), 0
        for entry, link in zip(entries, links, strict=True):
            shown += lines[taken : taken + len(entry)]
            taken += len(entry)
            if link:
                shown.append(indent + link)
        return [*shown, *lines[taken:], "```"]

    def _line(self, row: Row) -> str:
        """The row on one line, its title cut so that everything else keeps its room."""
        text = self._escape.text
        facts = [text(fact) for fact in (row.mark, row.about, *row.cells, *row.more) if fact]
        name = f"\\#{row.number} {text(row.name)}"
        if row.link and (address := self._escape.address(row.link)):
            if self._mode == "telegram":
                name = f"\\#{row.number} [{text(row.name)}]({address})"
            else:
                facts.append(address)
        end = "".join(_SEPARATOR + fact for fact in facts)
        if not row.title:
            return name + end
        return f"{name} **{self._fitting(row.title, LINE_BYTES - len((name + end).encode()) - len(' ****'))}**{end}"

    def _fitting(self, title: str, room: int) -> str:
        """As much of the title, escaped, as that many bytes hold, and never less than a few words."""
        whole = self._escape.text(title)
        if len(whole.encode()) <= room:
            return whole
        least, most = _LEAST_LAST, len(title)
        while least < most:
            middle = (least + most + 1) // 2
            fits = len(self._escape.text(cut(title, middle)).encode()) <= room
            least, most = (middle, most) if fits else (least, middle - 1)
        return self._escape.text(cut(title, least))

    def _links(self, rows: Sequence[Row], links: Sequence[str]) -> Iterator[str]:
        """The addresses: behind the row's number on one line, or one line each."""
        found = [(row.number, self._escape.address(link)) for row, link in zip(rows, links, strict=True) if link]
        if self._mode in _LINKS_BELOW:
            yield from (f"\\#{number} {address}" for number, address in found)
        elif found:
            # In angle brackets Discord shows no preview, of which there would be one per row.
            # Each character counts ten times there.
            if self._mode == "discord":
                yield "open: " + " ".join(f"[#{number}](<{address}>)" for number, address in found)
                return
            yield "open: " + _SEPARATOR.join(f"[{self._escape.text(f'#{n}')}]({address})" for n, address in found)


def _entries(rows: Sequence[Row], widest: int) -> list[list[str]]:
    """One or two lines per row: number, name, level and title, then the facts in columns, with the title's rest cut."""
    heads = in_columns([(f"#{row.number}", plain(row.name), plain(row.mark)) for row in rows])
    facts = in_columns([[plain(cell) for cell in row.cells] for row in rows])
    if not any(row.title for row in rows):
        joined = [_beside(head, fact) for head, fact in zip(heads, facts, strict=True)]
        ends = [_last(row) for row in rows]
        if all(width(line) + len(_GAP) + width(end) <= widest for line, end in zip(joined, ends, strict=True) if end):
            return [[_beside(line, end).rstrip()] for line, end in zip(joined, ends, strict=True)]
        heads, facts = joined, [""] * len(rows)
    indent = _indent(rows)
    width_of_head, width_of_fact = _width_of(heads), _width_of(facts)
    found = []
    for row, head, fact in zip(rows, heads, facts, strict=True):
        first = _beside(head, cut(plain(row.title), widest - width_of_head(head) - len(_GAP))).rstrip()
        end = _last(row, widest - len(indent) - width_of_fact(fact) - len(_GAP) if fact else widest - len(indent))
        second = _beside(fact, end).rstrip()
        found.append([first, indent + second] if second else [first])
    return found


def _last(row: Row, room: int | None = None) -> str:
    """The facts outside of columns; of these `about` is cut, if at all."""
    fixed = _GAP.join(plain(fact) for fact in row.more if fact)
    about = plain(row.about)
    if room is None:
        return _beside(fixed, about)
    if not about:
        return cut(fixed, room)
    return _beside(fixed, cut(about, room - width(fixed) - len(_GAP) if fixed else room))


def _beside(left: str, right: str) -> str:
    return left + _GAP + right if left and right else left or right


def _indent(rows: Sequence[Row]) -> str:
    return " " * (len(f"#{max(row.number for row in rows)}") + len(_GAP))


def in_columns(table: Sequence[Sequence[str]]) -> list[str]:
    """Each row's cells side by side, padded to their column's width; columns without any content are left out."""
    columns = list(zip_longest(*table, fillvalue=""))
    padded = []
    for column in columns:
        widths = list(map(_width_of(column), column))
        widest = min(max(widths), _WIDEST_CELL)
        if widest:
            padded.append([cell + " " * (widest - taken) for cell, taken in zip(column, widths, strict=True)])
    return [_GAP.join(row) for row in zip(*padded, strict=True)] if padded else [""] * len(table)


def width(text: str) -> int:
    """The columns that a text takes in a font of fixed width."""
    return len(text) if text.isascii() or _ONE_COLUMN.fullmatch(text) else _wide_width(text)


def _width_of(texts: Iterable[str]) -> Callable[[str], int]:
    """The function that measures these texts: `len` if each of their characters takes one column, else `width`."""
    every = "".join(texts)
    return len if every.isascii() or _ONE_COLUMN.fullmatch(every) else width


@lru_cache(maxsize=1024)
def _wide_width(text: str) -> int:
    found = wcswidth(text)
    return found if found >= 0 else len(text)  # it has a control character, whose width is undefined


def cut(text: str, room: int) -> str:
    """Shorten a text that is wider than `room`, with an ellipsis: after a word if that keeps more than half of it."""
    room = max(room, _LEAST_LAST)
    if width(text) <= room:
        return text
    head = text[: room - 1] if text.isascii() else _head(text, room - 1)
    words, space, _ = head.rpartition(" ")
    return (words if space and len(words) > len(head) // 2 else head).rstrip() + "…"


def _head(text: str, room: int) -> str:
    taken = 0
    for end, char in enumerate(text):
        taken += max(wcwidth(char), 0)
        if taken > room:
            return text[:end]
    return text
