"""The direction of imports is the structure: design section 6, enforced."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[2] / "plugins" / "sentry_reporter"
PACKAGE = HOME / "errbot_sentry"

BASE = {path.stem for path in PACKAGE.glob("*.py")} - {"runtime", "flow_status", "metrics", "__init__"}
FLOWS = {"report", "query", "alerts", "chat"}
MAY_IMPORT = {
    "runtime": FLOWS | {"server", "store", "flow_status", "metrics"} | BASE,
    "metrics": {"server", "flow_status"} | BASE,
    "flow_status": FLOWS - {"chat"} | BASE,  # the words for what each flow tells of itself; the root's other half
    "report": BASE,
    "query": BASE | {"server", "store"},
    "alerts": BASE | {"server", "store"},
    "chat": BASE,
    "server": BASE,
    "store": BASE,
    **dict.fromkeys(BASE, BASE),
}
ONLY_IN = {
    "errbot": ("chat/", "sentry_reporter.py"),
    "flask": ("chat/",),
    "werkzeug": ("chat/",),
    "markdown": ("chat/converters.py",),
    "re2": ("patterns.py",),
    "waitress": ("chat/arriving.py", "chat/listener.py"),
    "sentry_sdk": ("report/sdk",),
    "requests": ("server/transport.py",),
    "urllib3": ("server/transport.py", "report/sdk"),
    "sqlalchemy": ("store/",),
    "sqlite3": ("store/",),
    "matplotlib": ("picture.py",),
    "prometheus_client": ("metrics.py",),
}
FILES = sorted(HOME.rglob("*.py"))


def _imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOME)))
def test_parts_import_only_what_stands_below_them(path):
    """runtime, then the flows, then server and store, then the nouns; flows never each other."""
    name = str(path.relative_to(HOME))
    if name == "sentry_reporter.py":
        part, allowed = "sentry_reporter", {"runtime", "chat", "errors", "model", "settings"}
    else:
        part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        allowed = MAY_IMPORT.get(part, set()) | {part}
    own = {module.split(".")[1] for module in _imported(path) if module.startswith("errbot_sentry.")}
    own &= BASE | FLOWS | {"server", "store", "runtime", "flow_status", "metrics"}
    assert own <= allowed, f"{name} ({part}) must not import {own - allowed}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOME)))
def test_foreign_libraries_stay_at_their_border(path):
    """Each has one place that knows it."""
    name = str(path.relative_to(HOME)).removeprefix("errbot_sentry/")
    for library, places in ONLY_IN.items():
        if any(module == library or module.startswith(library + ".") for module in _imported(path)):
            assert name.startswith(places), f"{name} imports {library}, which belongs to {places}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOME)))
def test_modules_stay_readable(path):
    """One purpose each: beyond 400 lines a module has two."""
    assert len(path.read_text().splitlines()) <= 400


def test_no_module_has_a_name_that_says_nothing():
    """A name says what a thing is."""
    assert not {path.stem for path in FILES} & {"utils", "util", "helpers", "manager", "common", "misc"}
