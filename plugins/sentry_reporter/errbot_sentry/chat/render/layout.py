"""Turns the lines of a rendered template into messages that a backend shows as the same lines.

Errbot's Markdown drops single newlines, and turns each paragraph into one line (seen with the text, IRC and Slack
renderers). Errbot splits a long message after a number of characters, even inside a word. IRC refuses a line of more
than about 490 bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

from errbot_sentry.chat.render.escaping import RAW_MARKDOWN_MODES, escape_markdown

_IRC_LINE_BYTES = 400
# IRC's code that ends colours and bold. It has no effect here, except that Errbot does not strip the spaces after it.
_IRC_RESET = "\x0f"
_FENCE = "```"
_MOST_UTF8_BYTES = 4  # of one character
# On these networks the chat itself shows a fenced block in fixed width (Slack; XMPP by XEP-0393). Errbot's Markdown
# removes the fences, so we send fences within fences: the inner ones stay.
_FENCES_COME_THROUGH = frozenset({"slackv3", "xmpp"})


class Layout:
    """Lays lines out for one backend.

    Args:
        mode: Errbot's name for the backend.
        limit: how many characters a message may have before Errbot splits it (`message_size_limit`).
    """

    def __init__(self, mode: str, limit: int) -> None:
        self._on_irc = mode.lower() == "irc"
        self._between = "\n" if mode.lower() in RAW_MARKDOWN_MODES else "\n\n"
        self._widest = _IRC_LINE_BYTES if self._on_irc else limit
        self._limit = limit
        self._open, self._close = _fences(mode.lower())

    def messages(self, rendered: str) -> list[str]:
        """The Markdown of each message to send, with whole lines, none longer than the limit.

        On IRC each line is its own message. IRC shows it as one line anyway, and Errbot would put a space before every
        paragraph of a message except the first.
        """
        if self._on_irc:
            return list(self._blocks(rendered))
        messages: list[str] = []
        current = ""
        for block in self._blocks(rendered):
            joined = current + self._between + block if current else block
            if current and len(joined) > self._limit:
                messages.append(current)
                joined = block
            current = joined
        return [*messages, current] if current else messages

    def _blocks(self, rendered: str) -> Iterator[str]:
        """Lines outside fences, wrapped to the width, and fenced blocks, split into several if they are too long."""
        fenced: list[str] | None = None
        for line in rendered.split("\n"):
            if _FENCE in line and line.strip().startswith(_FENCE):
                if fenced is None:
                    fenced = []
                else:
                    yield from self._fenced_blocks(fenced)
                    fenced = None
            elif fenced is not None:
                fenced.append(line)
            elif line.strip():
                yield from wrap(line.strip(), self._widest)
        if fenced:
            yield from self._fenced_blocks(fenced)

    def _fenced_blocks(self, lines: list[str]) -> Iterator[str]:
        if self._on_irc:
            yield from (_IRC_RESET + piece for line in lines if line.strip() for piece in _irc_code(line))
            return
        room = self._limit - len(self._open) - len(self._close)
        if lines and len("\n".join(lines).encode()) <= room:  # nearly all blocks
            yield self._fenced(lines)
            return
        current: list[str] = []
        taken = 0  # characters in `current`, newlines included
        widest = min(self._widest, room)
        if max(map(len, lines), default=0) * _MOST_UTF8_BYTES > widest:  # seldom
            lines = [piece for line in lines for piece in _chop(line, widest)]
        for line in lines:
            if current and taken + len(line) > room:
                whole = _whole_entries(current) if line.startswith(" ") else len(current)
                yield self._fenced(current[:whole])
                current = current[whole:]
                taken = sum(len(line) + 1 for line in current)
            current.append(line)
            taken += len(line) + 1
        if current:
            yield self._fenced(current)

    def _fenced(self, lines: list[str]) -> str:
        return self._open + "\n".join(lines) + self._close


def _fences(mode: str) -> tuple[str, str]:
    """The text before and after the lines of a fenced block.

    Errbot puts a space before a paragraph. The empty line gets that space, so that all lines of the block begin in the
    same column.
    """
    if mode in _FENCES_COME_THROUGH:
        return f"`{_FENCE}\n\n{_FENCE}\n", f"\n{_FENCE}\n`{_FENCE}"
    if mode in RAW_MARKDOWN_MODES:
        return f"{_FENCE}\n", f"\n{_FENCE}"
    return f"{_FENCE}\n\n", f"\n{_FENCE}"


def _irc_code(line: str) -> Iterator[str]:
    """A line of a fenced block as running text, in pieces. A fence is not used: Errbot sends an empty line after it."""
    piece = ""
    for char in line:
        escaped = escape_markdown(char)
        if len((piece + escaped).encode()) > _IRC_LINE_BYTES:
            yield piece
            piece = ""
        piece += escaped
    yield piece


def _whole_entries(lines: list[str]) -> int:
    """How many of these lines make whole entries, if the next line is indented and so belongs to the last entry."""
    begin = next((place for place in range(len(lines) - 1, 0, -1) if not lines[place].startswith(" ")), 0)
    return begin or len(lines)


def wrap(line: str, widest: int) -> Iterator[str]:
    """The line in pieces of at most `widest` UTF-8 bytes, cut at spaces outside of code and links if possible.

    A backslash that escapes the next character never ends a piece.
    """
    while len(line.encode()) > widest:
        cut = _cut(line, widest)
        yield line[:cut].rstrip()
        line = line[cut:].lstrip()
    if line:
        yield line


def _cut(line: str, widest: int) -> int:
    """The index at which to cut: the last good space within the width; without one, as far as the width allows."""
    size, last_space, in_code, brackets = 0, 0, False, 0
    for place, char in enumerate(line):
        size += len(char.encode())
        if size > widest:
            break
        escaped = place > 0 and line[place - 1] == "\\"
        if char == "`" and not escaped:
            in_code = not in_code
        elif char in "[(" and not escaped:
            brackets += 1
        elif char in "])" and not escaped:
            brackets -= 1
        elif char == " " and not in_code and brackets <= 0:
            last_space = place
    if last_space:
        return last_space
    hard = max(1, place)
    return hard - 1 if hard > 1 and line[hard - 1] == "\\" else hard


def _chop(line: str, widest: int) -> Iterator[str]:
    """A line of a fenced block, split into pieces of at most `widest` bytes. No character is dropped."""
    while len(line.encode()) > widest:
        piece = line.encode()[:widest].decode(errors="ignore")
        yield piece
        line = line[len(piece) :]
    yield line
