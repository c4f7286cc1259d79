"""Makes Errbot's Markdown converters safe for several threads.

Errbot 6.2.1: a backend has one converter for all messages (for example errbot/backends/irc.py, line 746). The command
pool, pollers and threads like ours call it at the same time (errbot/backends/irc.py, line 763). A converter stores its
state in its own attributes while it works, and Python-Markdown says that it is not safe for several threads
(https://github.com/Python-Markdown/markdown/issues/812). So messages can be mixed up: a reply shows the text of an
alert, and a room sees text that it may not see. Errbot never calls `reset` either. So every fenced block stays in
memory, and footnotes and link targets of one message turn up in the next.

Change: each converter of the bot object gets a lock, and is reset after each message. Most lists are one fenced block
of plain characters, which Errbot's converters would not change. Such a message skips the converter, which would cost as
much time as a whole trivial command.

Undone: the converters get their own method back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from markdown import Markdown

from errbot_sentry.domain.locks import Lock

_OPEN, _CLOSE = "```\n\n", "\n```"
# Signs of fences, HTML and entities, and spaces at the end of a line, which Markdown removes from an empty line. They
# are searched for one by one, because that takes a hundredth of the time that a regular expression takes.
_ACTS = ("`", "~", "<", "&", " \n")
_PROBE = "#1  [a](http://b.c/) **d** _e_\n    {: .f} *[g]: h\n\n[^i]: j | k"


def has_converter(bot: Any) -> bool:
    """Whether this bot object has Markdown converters."""
    return bool(_converters(bot))


def lock_converters(bot: Any) -> Callable[[], None]:
    """Let each converter of this bot object convert one text at a time. Returns a function that undoes the change."""
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
    # If the backend's converter changes blocks (Slack's rewrites links in them), no message may skip it.
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
    """The lines of a message that is one fenced block and contains nothing that Markdown changes; else ""."""
    if not source.startswith(_OPEN) or not source.endswith(_CLOSE):
        return ""
    block = source[len(_OPEN) : -len(_CLOSE)]
    if block != block.strip() or any(sign in block for sign in _ACTS):
        return ""
    return block if block.replace("\n", "").isprintable() else ""
