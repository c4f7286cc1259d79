"""The shape of a command as people see it: help in chat, suggestions and the tables in the docs are made from it.

Each flow has its own catalogue of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

READ, CHANGE, ALERTS, ABOUT = "read", "change", "alerts", "about"


@dataclass(frozen=True)
class Command:
    """One command. `usage` and `examples` are without the bot's prefix; `group` is where `sentry` lists it."""

    name: str
    usage: str
    help: str
    examples: tuple[str, ...] = ()
    group: str = READ
    aliases: tuple[str, ...] = ()
    writers_only: bool = False


def command(name: str, table: Iterable[Command]) -> Command | None:
    """The command of this name or alias."""
    return next((entry for entry in table if name == entry.name or name in entry.aliases), None)


def suggestion(typed: str, table: Sequence[Command]) -> str | None:
    """The command that was probably meant by a mistyped one."""
    words = {word: entry.name for entry in table for word in (entry.name, *entry.aliases)}
    near = get_close_matches(typed.casefold(), words, n=1, cutoff=0.5)
    return words[near[0]] if near else None


def sentence(entry: Command) -> str:
    """What a command does, as a sentence."""
    return f"{entry.help[:1].upper()}{entry.help[1:]}."


def help_text(entry: Command, prefix: str = "!") -> str:
    """The help of one command, as `!help sentry issues` shows it."""
    lines = [sentence(entry), "", f"Usage: {prefix}{entry.usage}"]
    if entry.examples:
        lines += ["Examples: " + "   ".join(prefix + example for example in entry.examples)]
    return "\n".join(lines)


def docs_table(table: Iterable[Command]) -> str:
    """The table of commands for a page of the docs, in Markdown."""
    rows = ["| command | does |", "|---|---|"]
    for entry in table:
        also = f" (also {', '.join(f'`!sentry {alias}`' for alias in entry.aliases)})" if entry.aliases else ""
        usage = entry.usage.replace("|", "\\|")
        rows.append(f"| `!{usage}`{also} | {entry.help} |")
    return "\n".join(rows) + "\n"
