"""Plugins that a test writes for itself, into its own folder: no `.plug` file may lie in the repository."""

from __future__ import annotations

import textwrap
from pathlib import Path


def write_plugin(folder: Path, source: str, name: str, *, kind: str = "plug", home: str = "") -> Path:
    """Make a plugin out of the source of its module, whose class is `name`; returns its folder, for ErrbotProcess.

    A flow (`kind` "flow") is in the folder of a plugin, its `home`, because Errbot looks for it nowhere else.
    """
    place, module = folder / (home or name.lower()), f"{name.lower()}_plugin"
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{module}.py").write_text(textwrap.dedent(source), encoding="utf-8")
    (place / f"{module}.{kind}").write_text(
        f"[Core]\nName = {name}\nModule = {module}\n[Python]\nVersion = 3\n", encoding="utf-8"
    )
    return place
