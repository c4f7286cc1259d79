"""docs/errbot-patches.md lists what we change in Errbot, all of it."""

from __future__ import annotations

import re
from pathlib import Path

from errbot_sentry.chat.errbot_patches.patches import PATCHES

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "plugins" / "sentry_reporter" / "errbot_sentry" / "chat" / "errbot_patches"
PAGE = (ROOT / "docs" / "errbot-patches.md").read_text()
MODULES = {path.stem: path for path in FOLDER.glob("*.py") if path.stem not in ("__init__", "patches")}


def test_the_page_lists_each_file_of_the_folder_and_no_other():
    assert set(re.findall(r"^## `(\w+)\.py`", PAGE, re.MULTILINE)) == set(MODULES)


def test_each_file_is_applied():
    assert {patch.name for patch in PATCHES} == set(MODULES)


def test_each_patch_says_what_errbot_does_why_and_how_it_is_undone():
    """On the page and in the file; with the place in Errbot 6.2.1."""
    for name, path in MODULES.items():
        (section,) = re.findall(rf"^## `{name}\.py`.*?(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
        for text in (section, path.read_text()):
            for heading in ("Errbot 6.2.1:", "Change:", "Undone:"):
                assert heading in text, (name, heading)
            assert re.search(r"errbot/[\w/]+\.py,\s+lines?\s+\d+", text), name
