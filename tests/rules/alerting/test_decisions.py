"""The names of decisions: each has one sentence, and people read the same names everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from errbot_sentry.alerting.decide.decisions import DecisionName

ROOT = Path(__file__).parents[3]
DOCS = (ROOT / "docs" / "alerting.md").read_text()
PACKAGE = ROOT / "plugins" / "sentry_reporter" / "errbot_sentry"
# These are also names of something else: an alert's reason, a reason to defer, a state, a route's key, a thread.
AMBIGUOUS = {"regressed", "escalating", "unmuted", "repeat", "quiet", "storm", "failed", "update", "canary"}
PLACES = [
    *(PACKAGE / "alerting").rglob("*.py"),
    PACKAGE / "health.py",
    PACKAGE / "store" / "inbox_table.py",
]


@pytest.mark.parametrize("name", DecisionName)
def test_the_docs_say_of_each_decision_what_the_code_says(name: DecisionName) -> None:
    assert f"| `{name}` | {name.sentence} |" in DOCS


def test_the_docs_name_no_decision_that_does_not_exist() -> None:
    table = DOCS.partition("| decision | meaning |\n|---|---|\n")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [name.value for name in DecisionName]


def test_no_other_module_writes_a_decisions_name_as_a_literal() -> None:
    names = "|".join(name.value for name in DecisionName if name.value not in AMBIGUOUS)
    literal = re.compile(f"[\"']({names})[\"']")
    found = [
        f"{path.relative_to(PACKAGE)}: {match[0]}"
        for path in PLACES
        if path.name != "decisions.py"
        for match in literal.finditer(path.read_text())
    ]
    assert found == []
