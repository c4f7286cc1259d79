"""Errbot's Markdown converters, made safe for several threads.

Errbot 6.2.1: a backend has one converter for all messages (for example errbot/backends/irc.py, line 746). Errbot calls
it from the command pool, from pollers and from threads like ours, all at once (errbot/backends/irc.py, line 763). A
converter keeps its state in itself while it works, and Python-Markdown says that it is not safe for several threads
(https://github.com/Python-Markdown/markdown/issues/812). Then messages come out with each other's text: a reply shows
an alert, and a room reads what it may not see. Errbot never calls `reset` either. So every fenced block stays in
memory, and footnotes and link targets of one message turn up in the next.

Change: each converter of the bot object gets a lock, and is reset after each message. A message that is one fenced
block of plain characters, as most lists are, comes out of Errbot's own converters as it went in. It does not go through
them, which would cost as much as a whole trivial command.

Undone: the converters get their own method back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from markdown import Markdown

from errbot_sentry.domain.locks import Lock

_OPEN, _CLOSE = "```\n\n", "\n```"
# Fences, HTML and entities; and spaces at the end of a line, which Markdown takes away where the line has nothing else.
# Looked for one by one, because that takes a hundredth of the time of one regular expression.
_ACTS = ("`", "~", "<", "&", " \n")
_PROBE = "#1  [a](http://b.c/) **d** _e_\n    {: .f} *[g]: h\n\n[^i]: j | k"


def has_converter(bot: Any) -> bool:
    """Whether this bot object has converters of its own."""
    return bool(_converters(bot))


def lock_converters(bot: Any) -> Callable[[], None]:
    """Let each converter of this bot object convert one text at a time; returns what undoes that."""
    made = [(each, _one_at_a_time(each)) for each in _converters(bot) if "convert" not in vars(each)]
    for converter, convert in made:
        converter.convert = convert

    def undo() -> None:
        for converter, _ in made:
            vars(converter).pop("convert", None)

    return undo


def _converters(bot: Any) -> list[Markdown]:
    return [value for value in vars(bot).values() if isinstance(value, Markdown)]


def _one_at_a_time(converter: Markdown) -> Callable[[str], str]:
    lock = Lock()
    convert: Callable[[str], str] = converter.convert
    probed = convert(_OPEN + _PROBE + _CLOSE)
    converter.reset()
    # What a backend with additions of its own makes of a block is not known (Slack's rewrites links in it).
    ending = probed.removeprefix(_PROBE) if probed.startswith(_PROBE) else None

    def convert_alone(source: str) -> str:
        if ending is not None and (block := plain_block(source)):
            return block + ending
        with lock:
            try:
                return convert(source)
            finally:
                converter.reset()

    return convert_alone


def plain_block(source: str) -> str:
    """The lines of a message that is one fenced block, which nothing in them can act in; else ""."""
    if not source.startswith(_OPEN) or not source.endswith(_CLOSE):
        return ""
    block = source[len(_OPEN) : -len(_CLOSE)]
    if block != block.strip() or any(sign in block for sign in _ACTS):
        return ""
    return block if block.replace("\n", "").isprintable() else ""
