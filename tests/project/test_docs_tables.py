"""The tables of docs/commands.md and docs/settings.md are made from the code. `GOLDEN=1` writes them anew."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from errbot_sentry.commands.registry import COMMANDS
from errbot_sentry.config.settings_table import SETTINGS

DOCS = Path(__file__).resolve().parents[2] / "docs"


def commands_table() -> Iterator[str]:
    yield from ("| command | does |", "|---|---|")
    for entry in COMMANDS:
        also = f" (also {', '.join(f'`!sentry {alias}`' for alias in entry.aliases)})" if entry.aliases else ""
        usage = entry.usage.replace("|", "\\|")
        yield f"| `!{usage}`{also} | {entry.help} |"


def settings_table() -> Iterator[str]:
    yield from ("| setting | type | default | meaning |", "|---|---|---|---|")
    for setting in SETTINGS:
        quoted = f'"{setting.default}"' if isinstance(setting.default, str) else repr(setting.default)
        default = setting.default_words or f"`{quoted}`"
        name = f"`{setting.name}`" + (" (secret)" if setting.secret else "")
        sentence = setting.sentence.replace("<", "&lt;").replace("|", "\\|")
        yield f"| {name} | {setting.kind} | {default} | {sentence} |"


@pytest.mark.parametrize(("name", "rows"), [("commands", commands_table), ("settings", settings_table)])
def test_the_docs_have_the_same_table(name: str, rows: Callable[[], Iterator[str]]) -> None:
    page = DOCS / f"{name}.md"
    text, table = page.read_text(), "\n".join(rows())
    found = re.search(rf"(?<=<!-- {name}:)[^\n]*-->\s*(.*?)\s*<!-- /{name} -->", text, re.DOTALL)
    assert found is not None
    if os.environ.get("GOLDEN"):
        page.write_text(text[: found.start(1)] + table + text[found.end(1) :])
    else:
        assert found[1] == table
