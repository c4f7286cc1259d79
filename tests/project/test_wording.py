"""Code and docs use the words of Sentry, Alertmanager, Errbot and the chat networks, and every link has a target."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Words of an earlier vocabulary, each with what we say now.
OLD_WORDS = {
    "deed": "activity",
    "deeds": "activity",
    "first word": "notification",
    "first words": "notifications",
    "errand": "background job",
    "errands": "background queue",
    "wishes": "silences, subscriptions, digests",
    "hears": "receives, is notified",
    "heard": "received, notified",
    "hush": "muting",
    "manners": "backpressure, or the settings of a route",
    "desk": "command context",
    "bundled": "batched",
    "gathered": "batched",
    "gathering": "batching",
    "gathers": "batches",
    "dress": "event processor",
    "findings": "poll diff",
    "sketch": "summary",
    "tracetext": "stack trace",
    "tally": "repeat count",
    "errbot-facts": "the fact itself, or the upstream file",
    "server-facts": "the fact itself, or the upstream file",
    "network-facts": "the fact itself, or the upstream file",
    "design section": "the fact itself",
    "house.md": "the fact itself",
}
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"```.*?```", re.DOTALL)
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@cache
def _texts() -> dict[str, str]:
    """Path to text, in lower case, with `_` and the humps of CamelCase as spaces."""
    files = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "config_template.py"]
    files += [path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "adr"]
    files += [path for path in (ROOT / "plugins").rglob("*") if path.suffix in (".py", ".md", ".plug")]
    files += [path for part in ("tests", "benchmarks", "demo") for path in (ROOT / part).rglob("*.py")]
    files.remove(Path(__file__))
    return {
        str(path.relative_to(ROOT)): _CAMEL.sub(" ", path.read_text(encoding="utf-8")).replace("_", " ").lower()
        for path in files
    }


def _uses(word: str) -> list[str]:
    """Where a word stands, as `path:line`; also in names of files."""
    words = r"\s+".join(re.escape(part) for part in word.split())
    pattern = re.compile(rf"(?<![a-z0-9]){words}(?![a-z0-9])")
    found = [path for path in _texts() if pattern.search(path.lower().replace("_", " "))]
    for path, text in _texts().items():
        found += [f"{path}:{text.count(chr(10), 0, match.start()) + 1}" for match in pattern.finditer(text)]
    return found


@pytest.mark.parametrize("word", sorted(OLD_WORDS))
def test_no_old_word_is_used(word: str) -> None:
    found = _uses(word)
    assert found == [], f"say: {OLD_WORDS[word]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_it(page: Path) -> None:
    """And every anchor to a heading."""
    dead = []
    for link in _LINK.findall(_CODE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            dead.append(link)
    assert dead == []


def _anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_named_on_a_page_exists(page: Path) -> None:
    """Files of the repository, written as `tests/rules/test_matchers.py`."""
    named = re.findall(r"`((?:tests|docs|demo|benchmarks|plugins)/[\w/.]+)`", page.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []
