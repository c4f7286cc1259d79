"""What the bot sends to each chat network when an alert comes: golden files of the raw calls."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parent
_SENT = re.compile("post|update|patch|send|edit|messages|reply|thread", re.IGNORECASE)


def golden(file: Path, calls: Sequence[tuple[str, Mapping[str, Any]]], replaced: Mapping[str, str]) -> None:
    """Compare calls (a method and its values) that show something in a room with a golden file.

    `replaced` are texts that differ in each run, such as addresses. With GOLDEN=1 in the environment the file is
    written instead.
    """
    shown = [{"call": name, **_readable(values)} for name, values in calls if _SENT.search(name)]
    text = json.dumps(shown, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    for old, new in replaced.items():
        text = text.replace(old, new)
    if os.environ.get("GOLDEN"):
        file.write_text(text)
    assert text == file.read_text(), f"{file.name} shows something else; GOLDEN=1 writes it anew"


def _readable(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values, with JSON in texts read."""
    return {name: _parsed(value) for name, value in values.items()}


def _parsed(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
