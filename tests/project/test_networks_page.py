"""docs/networks.md shows the adapters' capabilities as the code has them."""

from __future__ import annotations

import os
import re
from dataclasses import fields
from pathlib import Path

from errbot_sentry.chat.networks.capabilities import CAPABILITIES, Capabilities

PAGE = Path(__file__).parents[2] / "docs" / "networks.md"
_TABLE = re.compile("(<!-- capabilities -->\n\n).*?(\n<!-- /capabilities -->)", re.DOTALL)


def table() -> str:
    names = [field.name for field in fields(Capabilities)]
    lines = [["network", *names], ["---"] * (len(names) + 1)]
    lines += [[mode, *("yes" if getattr(has, name) else "" for name in names)] for mode, has in CAPABILITIES.items()]
    return "".join(f"| {' | '.join(line)} |\n".replace("|  |", "| |") for line in lines)


def test_the_table_is_the_codes() -> None:
    """`GOLDEN=1` writes it anew."""
    text = PAGE.read_text()
    wanted = _TABLE.sub(lambda found: found[1] + table() + found[2], text)
    if os.environ.get("GOLDEN"):
        PAGE.write_text(wanted)
    assert wanted == PAGE.read_text()
