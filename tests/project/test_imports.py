"""The layers of docs/architecture.md, enforced: imports only go down."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[2] / "plugins" / "sentry_reporter"
PACKAGE = HOME / "errbot_sentry"

# The layers, from the top; a module imports only from its own part and from layers below its own.
LAYERS = (
    {"app"},
    {"health"},  # the health of all parts as text, JSON and Prometheus metrics
    {"canary"},  # sends an event of our own the whole way and follows it
    {"web", "chat"},
    {"commands"},
    {"alerting", "reporting"},
    {"server", "store"},
    {"config"},
    {"domain"},
)
LAYER_OF = {part: level for level, parts in enumerate(LAYERS) for part in parts}
PLUGIN_MODULE_MAY_IMPORT = {"app", "chat"}
ONLY_IN = {
    "errbot": ("chat/", "web/errbot_route.py", "sentry_reporter.py"),
    "flask": ("web/errbot_route.py",),
    "werkzeug": ("web/errbot_route.py",),
    "markdown": ("chat/errbot_patches/",),
    "waitress": ("web/",),
    "sentry_sdk": ("reporting/",),
    "requests": (
        "server/http/client.py",
        "server/http/body.py",
        "chat/networks/mattermost.py",
        "chat/networks/matrix.py",
        "chat/networks/xmpp.py",
        "chat/networks/zulip.py",
    ),
    "urllib3": ("server/http/", "reporting/", "chat/networks/zulip.py"),
    "sqlalchemy": ("store/",),
    "sqlite3": ("store/", "chat/errbot_patches/shelf_threads.py"),
    "re2": ("config/safe_regex.py",),
    "matplotlib": ("domain/charts.py",),
    "prometheus_client": ("health.py",),
    "msgspec": ("server/payloads/", "domain/issues.py", "domain/conversation.py", "chat/render/columns.py"),
}
# A module of this name could contain anything.
SAYS_NOTHING = {"utils", "util", "helpers", "helper", "manager", "common", "misc", "base", "core", "tools", "stuff"}
FILES = sorted(HOME.rglob("*.py"))
MODULES = [path for path in FILES if path.name != "__init__.py"]


def _imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def _part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _own_parts(path: Path) -> set[str]:
    modules = (module.split(".") for module in _imported(path) if module.startswith("errbot_sentry."))
    return {module[1] for module in modules if module[1] in LAYER_OF}


def test_every_part_has_its_layer():
    """A new folder needs a layer."""
    assert {_part(path) for path in PACKAGE.rglob("*.py")} - {"__init__"} == set(LAYER_OF)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(HOME)))
def test_imports_go_down_the_layers(path):
    """Never up, and never sideways between the parts of one layer."""
    imported = _own_parts(path)
    if path.parent == HOME:
        assert imported <= PLUGIN_MODULE_MAY_IMPORT
        return
    part = _part(path)
    wrong = {other for other in imported - {part} if LAYER_OF[other] <= LAYER_OF[part]}
    assert not wrong, f"{part} must not import {wrong}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOME)))
def test_foreign_libraries_stay_at_their_border(path):
    """Each library is used in one place."""
    name = str(path.relative_to(HOME)).removeprefix("errbot_sentry/")
    for library, places in ONLY_IN.items():
        if any(module == library or module.startswith(library + ".") for module in _imported(path)):
            assert name.startswith(places), f"{name} imports {library}, which belongs to {places}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOME)))
def test_modules_stay_readable(path):
    """A module over 400 lines has two subjects."""
    assert len(path.read_text().splitlines()) <= 400


def test_folders_stay_readable():
    """A folder with more than sixteen modules has two subjects."""
    assert [str(folder) for folder, count in Counter(path.parent for path in MODULES).items() if count > 16] == []


def test_no_module_has_a_name_that_says_nothing():
    """A name says what a module is for."""
    assert not {path.stem for path in MODULES} & SAYS_NOTHING


def test_no_module_name_stands_twice():
    """A name means one module."""
    names = Counter(path.stem for path in MODULES)
    assert [name for name, count in names.items() if count > 1] == []


def test_no_class_name_means_two_things():
    """A name means one class; private classes belong to their module."""
    names: Counter[str] = Counter()
    for path in MODULES:
        tree = ast.parse(path.read_text())
        names.update(node.name for node in tree.body if isinstance(node, ast.ClassDef) and node.name[0] != "_")
    assert [name for name, count in names.items() if count > 1] == []
