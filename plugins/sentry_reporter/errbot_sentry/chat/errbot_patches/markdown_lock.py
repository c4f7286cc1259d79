"""Errbot's Markdown converters, made safe for several threads.

A backend has one converter, which keeps its state in itself while it works, and Errbot calls it from the command pool,
from pollers and from threads like ours, all at once. Then messages come out with each other's words (errbot-facts,
section 10): a reply shows an alert, and a room reads what it may not see. So each converter of the bot gets a lock.
It also forgets after each message, as Python-Markdown wants it and Errbot does not do: else it keeps every fenced block
for as long as the bot runs, and footnotes and link targets of one message turn up in the next.

A message that is one fenced block of plain characters, as most lists are, comes out of Errbot's own converters as it
went in. Such a message does not have to go through them, which costs as much as a whole trivial command.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from markdown import Markdown

from errbot_sentry.domain.locks import Lock

_OPEN, _CLOSE = "```\n\n", "\n```"
# Fences, HTML and entities; and spaces that Markdown takes away.
_ACTS = re.compile(r"[`~<&]|^ +$|\A\s|\s\Z", re.MULTILINE)
_PROBE = "#1  [a](http://b.c/) **d** _e_\n    {: .f} *[g]: h\n\n[^i]: j | k"


def lock_converters(bot: Any) -> Callable[[], None]:
    """Let each converter of this bot object convert one text at a time; returns what takes that back."""
    locked = [value for value in vars(bot).values() if isinstance(value, Markdown) and "convert" not in vars(value)]
    for converter in locked:
        converter.convert = _one_at_a_time(converter)

    def undo() -> None:
        for converter in locked:
            vars(converter).pop("convert", None)

    return undo


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
    return block if block.replace("\n", "").isprintable() and not _ACTS.search(block) else ""
