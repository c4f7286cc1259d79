"""Errbot's Markdown converters, made safe for several threads.

A backend has one converter, which keeps its state in itself while it works, and Errbot calls it from the command pool,
from pollers and from threads like ours, all at once. Then messages come out with each other's words (errbot-facts,
section 10): a reply shows an alert, and a room reads what it may not see. So each converter of the bot gets a lock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from markdown import Markdown


def lock_converters(bot: Any) -> Callable[[], None]:
    """Let each converter of this bot object convert one text at a time; returns what takes that back."""
    locked = [value for value in vars(bot).values() if isinstance(value, Markdown) and "convert" not in vars(value)]
    for converter in locked:
        converter.convert = _one_at_a_time(converter.convert)

    def undo() -> None:
        for converter in locked:
            vars(converter).pop("convert", None)

    return undo


def _one_at_a_time(convert: Callable[[str], str]) -> Callable[[str], str]:
    lock = threading.Lock()

    def convert_alone(source: str) -> str:
        with lock:
            return convert(source)

    return convert_alone
