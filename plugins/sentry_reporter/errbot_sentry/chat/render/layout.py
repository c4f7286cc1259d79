"""From the lines of a rendered template to messages that a backend shows as those lines.

Errbot's Markdown drops single newlines but turns paragraphs into single lines (seen with the text, IRC and Slack
renderers), splits long messages by characters in the middle of words, and IRC refuses a line beyond about 490 bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

from errbot_sentry.chat.render.escaping import RAW_MARKDOWN_MODES, escape_markdown

_IRC_LINE_BYTES = 400
# Ends colours and bold where there are none. Errbot strips messages, and so would take the indentation behind it away.
_IRC_RESET = "\x0f"
_FENCE = "```"
_MOST_UTF8_BYTES = 4  # of one character
# Errbot's Markdown takes the fences away. Here the chat shows a fenced block in fixed width (Slack; XMPP by XEP-0393),
# so it gets fences within fences, of which the inner ones come through.
_FENCES_COME_THROUGH = frozenset({"slackv3", "xmpp"})


class Layout:
    """Lays lines out for one backend.

    Args:
        mode: Errbot's name of the backend.
        limit: characters that Errbot takes in one message before it cuts (`message_size_limit`).
    """

    def __init__(self, mode: str, limit: int) -> None:
        self._on_irc = mode.lower() == "irc"
        self._between = "\n" if mode.lower() in RAW_MARKDOWN_MODES else "\n\n"
        self._widest = _IRC_LINE_BYTES if self._on_irc else limit
        self._limit = limit
        self._open, self._close = _fences(mode.lower())

    def messages(self, rendered: str) -> list[str]:
        """The Markdown of each message to send, none longer than the limit, lines whole; on IRC one for each line.

        There a message is one line anyway, and Errbot puts a space before each but the first paragraph of a message.
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
        """Lines outside of fences, each within the width; fenced blocks, cut into several where they are too long."""
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
        if lines and len("\n".join(lines).encode()) <= room:  # nearly all of them
            yield self._fenced(lines)
            return
        current: list[str] = []
        taken = 0  # characters of these lines, each with its end
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
    """What goes before and after the lines of a fenced block.

    Errbot puts a space before a paragraph: the empty line takes it, and all others begin in the same column.
    """
    if mode in _FENCES_COME_THROUGH:
        return f"`{_FENCE}\n\n{_FENCE}\n", f"\n{_FENCE}\n`{_FENCE}"
    if mode in RAW_MARKDOWN_MODES:
        return f"{_FENCE}\n", f"\n{_FENCE}"
    return f"{_FENCE}\n\n", f"\n{_FENCE}"


def _irc_code(line: str) -> Iterator[str]:
    """A line of a fenced block as running text, in pieces. Errbot sends an empty line after each fence on IRC."""
    piece = ""
    for char in line:
        escaped = escape_markdown(char)
        if len((piece + escaped).encode()) > _IRC_LINE_BYTES:
            yield piece
            piece = ""
        piece += escaped
    yield piece


def _whole_entries(lines: list[str]) -> int:
    """How many of the lines make whole entries, when one more line, an indented one, belongs to the last entry."""
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
    """Where to cut: after the last good space within the width, else as far as the width allows."""
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
    """A line of a fenced block in pieces of at most `widest` bytes; nothing is dropped."""
    while len(line.encode()) > widest:
        piece = line.encode()[:widest].decode(errors="ignore")
        yield piece
        line = line[len(piece) :]
    yield line
