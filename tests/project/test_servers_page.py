"""docs/servers.md says of each server what the code refuses, no more and no less."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from errbot_sentry.server.bugsink import Bugsink
from errbot_sentry.server.glitchtip import GlitchTip
from errbot_sentry.server.sentry import Sentry

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "servers.md").read_text()
DIALECTS = (Sentry, GlitchTip, Bugsink)
ROWS = {
    "comments": "notes listed",
    "tags": "`tags`",
    "tag_values": "`tags`",
    "project_counts": "`graph -p PROJECT`",
    "assign": "`assign`",
    "set_priority": "`priority`",
    "merge": "`merge`",
    "resolve_in": "`resolve --in`",
    "read_activity": "activity of an issue",
    "read_suspect_commits": "suspect commits",
    "read_owners": "owners",
    "read_teams": "`subscribe assignee=my-teams`",
    "read_monitors": "monitors",
    "feedback": "`feedback`",
    "accounts": "`link`",
}
NO_METHODS = {"feedback", "accounts"}  # asked for by name only
CELLS = {
    cells[0]: dict(zip(("sentry", "glitchtip", "bugsink"), cells[1:], strict=True))
    for line in PAGE.partition("### Versions")[0].splitlines()
    if line.startswith("| ") and len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 4
}


@pytest.mark.parametrize("method", ROWS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_is_refused_says_no(method, dialect):
    cell = CELLS[ROWS[method]][dialect.kind]
    assert re.match(r"no\b", cell) is not None if method in dialect.refusals else not re.match(r"no\b", cell), cell


def test_every_refusal_is_on_the_page():
    assert {method for dialect in DIALECTS for method in dialect.refusals} <= set(ROWS)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_refusal_is_of_a_method_that_exists(dialect):
    assert all(callable(getattr(dialect, method)) for method in dialect.refusals.keys() - NO_METHODS)
