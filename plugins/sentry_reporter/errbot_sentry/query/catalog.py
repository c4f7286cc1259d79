"""The commands as people see them: the help in chat and the table in the docs are both made from here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

READ, CHANGE, ABOUT = "read", "change", "about"


@dataclass(frozen=True)
class Command:
    """One command. `usage` and `examples` are without the bot's prefix; `group` is where `sentry` lists it."""

    name: str
    usage: str
    help: str
    examples: tuple[str, ...] = ()
    group: str = READ
    aliases: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether only those in SENTRY_WRITERS may use it."""
        return self.group == CHANGE


COMMANDS: tuple[Command, ...] = (
    Command("sentry", "sentry", "what is connected, and what you may use here", ("sentry",), ABOUT),
    Command(
        "issues",
        "sentry issues [QUERY] [-p PROJECT]… [-e ENV]… [-s date|new|freq|user] [-t 24h] [-n 10]",
        "unresolved issues, last seen first; QUERY in the server's own search language",
        ("sentry issues", "sentry issues TimeoutError -p web -t 24h", "sentry issues is:resolved -s new -n 5"),
    ),
    Command("next", "sentry next", "the following page of the last list here", ("sentry next",)),
    Command("prev", "sentry prev", "the previous page of the last list here", ("sentry prev",)),
    Command(
        "issue",
        "sentry issue REF",
        "one issue whole; REF is WEB-1A, a number, an address, #3 or @latest",
        ("sentry issue WEB-1A", "sentry issue #3", "sentry issue @latest"),
    ),
    Command(
        "resolve",
        "sentry resolve REF… [--yes]",
        "resolve",
        ("sentry resolve #1", "sentry resolve WEB-1A WEB-2B"),
        CHANGE,
    ),
    Command(
        "reopen",
        "sentry reopen REF… [--yes]",
        "open again",
        ("sentry reopen WEB-1A",),
        CHANGE,
        ("unresolve",),
    ),
    Command("status", "sentry status", "each flow's health", ("sentry status",), ABOUT),
    Command("test", "sentry test", "send a test event through the whole way", ("sentry test",), ABOUT),
)


def command(name: str, table: Iterable[Command] = COMMANDS) -> Command | None:
    """The command of this name or alias."""
    return next((entry for entry in table if name == entry.name or name in entry.aliases), None)


def suggestion(typed: str, table: Sequence[Command]) -> str | None:
    """The command that was probably meant by a mistyped one."""
    words = {word: entry.name for entry in table for word in (entry.name, *entry.aliases)}
    near = get_close_matches(typed.casefold(), words, n=1, cutoff=0.5)
    return words[near[0]] if near else None


def help_text(entry: Command, prefix: str = "!") -> str:
    """The help of one command, as `!help sentry issues` shows it."""
    lines = [f"{entry.help[:1].upper()}{entry.help[1:]}.", "", f"Usage: {prefix}{entry.usage}"]
    if entry.examples:
        lines += ["Examples: " + "   ".join(prefix + example for example in entry.examples)]
    return "\n".join(lines)


def docs_table(table: Iterable[Command] = COMMANDS) -> str:
    """The command table of docs/query.md, in Markdown."""
    rows = ["| command | does |", "|---|---|"]
    for entry in table:
        also = f" (also {', '.join(f'`!sentry {alias}`' for alias in entry.aliases)})" if entry.aliases else ""
        usage = entry.usage.replace("|", "\\|")
        rows.append(f"| `!{usage}`{also} | {entry.help} |")
    return "\n".join(rows) + "\n"
