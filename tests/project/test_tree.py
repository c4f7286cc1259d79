"""Rules of the repository that are easy to forget."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
from pathlib import Path

import pytest

import errbot_sentry

ROOT = Path(__file__).resolve().parents[2]
# What libraries of chat backends pin: python-telegram-bot 13.15, which errbot[telegram] asks for; and Errbot 6.2.0.
BACKEND_PINS = {"cachetools": ["4.2.2"], "requests": ["2.31.0"]}


def _tracked() -> list[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: the list of tracked files is not to be had")
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return listed.stdout.split("\n")


def _modules() -> list[str]:
    return [name for name in _tracked() if name.endswith(".py") and (ROOT / name).exists()]


def test_the_product_has_the_only_plug_file():
    """Errbot would load any other one in a user's bot, tests included."""
    assert [name for name in _tracked() if name.endswith((".plug", ".flow"))] == [
        "plugins/sentry_reporter/sentry_reporter.plug"
    ]


def test_the_requirements_files_name_the_same_distributions():
    """Errbot compares the raw lines of a requirements.txt with installed packages (errbot/repo_manager.py,
    `check_dependencies`), of the one beside the .plug at the start and of the repository's own after an update: so both
    have bare names, and the lowest versions are in a third file."""
    floors = [
        re.split(r"[<>=!~\[ ]", line)[0]
        for line in (ROOT / "requirements-floors.txt").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    bare = (ROOT / "plugins/sentry_reporter/requirements.txt").read_text().splitlines()
    assert (ROOT / "requirements.txt").read_text().splitlines() == floors == ["errbot", *bare]
    assert all(re.fullmatch(r"[A-Za-z0-9-]+", name) for name in bare)


def test_floors_agree_with_errbots_exact_pins():
    """Errbot 6.2.1 pins requests 2.32.5: asking for a newer one could not be installed."""
    from importlib.metadata import requires

    from packaging.requirements import Requirement

    ours = [
        Requirement(line) for line in (ROOT / "requirements-floors.txt").read_text().splitlines() if line[:1].isalpha()
    ]
    pins = {(pin := Requirement(text)).name.lower(): pin for text in requires("errbot") or []}
    for requirement in ours:
        pin = pins.get(requirement.name.lower())
        exact = [spec.version for spec in pin.specifier if spec.operator == "=="] if pin else []
        exact += BACKEND_PINS.get(requirement.name, [])
        assert all(requirement.specifier.contains(version) for version in exact), requirement


def test_every_dependency_has_its_reason_in_the_docs():
    """docs/dependencies.md says why each is there."""
    reasons = (ROOT / "docs/dependencies.md").read_text()
    names = (ROOT / "plugins/sentry_reporter/requirements.txt").read_text().split()
    assert not [name for name in names if f"`{name}`" not in reasons]


def test_the_version_is_the_newest_in_the_changelog():
    """A release has its section in the changelog."""
    newest = re.search(r"^## (?:\[)?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest.group(1) == errbot_sentry.__version__


def test_the_wheel_lists_every_package_folder():
    """A package folder that pyproject.toml does not list would be missing from the wheel."""
    listed = set(re.findall(r'"(errbot_sentry_reporter[\w.]*)"', (ROOT / "pyproject.toml").read_text()))
    folders = (ROOT / "plugins/sentry_reporter/errbot_sentry").rglob("__init__.py")
    home = ROOT / "plugins/sentry_reporter"
    wanted = {".".join(("errbot_sentry_reporter", *path.parent.relative_to(home).parts)) for path in folders}
    assert wanted <= listed


def exceptions_without_reason(source: str) -> list[int]:
    """The lines that set a rule aside and do not say why in a comment on them, or alone on the line after or before.

    They silence a linter or the type checker, catch or suppress every exception for good, skip a test, or sleep. The
    source of a plugin that a test writes is looked through for sleeping only.
    """
    comments = {
        token.start[0]: token.string
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    alone = {number for number, line in enumerate(source.splitlines(), 1) if line.lstrip().startswith("#")}
    explained = {number for number, text in comments.items() if re.search(r"\w", _MARK.sub("", text))}
    explained |= {number + step for number in explained & alone for step in (1, -1)}
    marked = {number for number, text in comments.items() if _MARK.search(text)}
    nodes = list(ast.walk(ast.parse(source)))
    loose = {node.lineno for node in nodes if _sets_a_rule_aside(node)}
    return sorted(((marked | loose) - explained) | _sleeping_plugins(nodes, source.splitlines()))


def _sleeping_plugins(nodes: list[ast.AST], lines: list[str]) -> set[int]:
    """The lines of texts that sleep and have no comment."""
    sleeping = {number for number, line in enumerate(lines, 1) if line.lstrip().startswith("time.sleep(")}
    texts = [node for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return {
        number
        for number in sleeping
        if "#" not in lines[number - 1]
        and any(each.lineno <= number <= (each.end_lineno or each.lineno) for each in texts)
    }


_MARK = re.compile(r"#\s*(noqa(: ?[A-Z]+\d+(, ?[A-Z]+\d+)*)?|type: ignore(\[[\w, -]+\])?|pragma: no cover)")
_BLIND = ("Exception", "BaseException")


def _sets_a_rule_aside(node: ast.AST) -> bool:
    if isinstance(node, ast.ExceptHandler):
        goes_on = ast.unparse(node.body[-1]) == "raise"
        return not goes_on and (node.type is None or ast.unparse(node.type) in _BLIND)
    if not isinstance(node, ast.Call):
        return False
    name, arguments = ast.unparse(node.func), [ast.unparse(each) for each in (*node.args, *node.keywords)]
    if name.endswith("suppress"):
        return any(each in _BLIND for each in arguments)
    return name == "time.sleep" or (name.startswith("pytest.") and name.endswith("skip") and not arguments)


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("import a  # noqa: F401\n", [1]),
        ("import a  # noqa: F401, E402 - it registers itself\n", []),
        ("a = b  # type: ignore[arg-type]\n", [1]),
        ("a = b  # type: ignore[arg-type]  # c narrows it\n", []),
        ("try:\n    a()\nexcept Exception:\n    b()\n", [3]),
        ("try:\n    a()\nexcept Exception:  # foreign code\n    b()\n", []),
        ("try:\n    a()\nexcept Exception:\n    # foreign code\n    b()\n", []),
        ("try:\n    a()\nexcept Exception:\n    b()  # twice\n", [3]),
        ("try:\n    a()\nexcept:\n    b()\n", [3]),
        ("try:\n    a()\nexcept BaseException:\n    undo()\n    raise\n", []),
        ("with contextlib.suppress(Exception):\n    a()\n", [1]),
        ("time.sleep(1)\n", [1]),
        ('SOURCE = """\nimport time\ntime.sleep(1)\n"""\n', [3]),
        ('SOURCE = """\nimport time\ntime.sleep(1)  # what is tested\n"""\n', []),
        ("pytest.skip()\n", [1]),
        ("pytest.skip('not here')\n", []),
        ("text = '# noqa: F401'\n", []),
    ],
)
def test_what_counts_as_a_reason(source: str, lines: list[int]) -> None:
    assert exceptions_without_reason(source) == lines


def test_who_sets_a_rule_aside_says_why():
    found = [f"{name}:{line}" for name in _modules() for line in exceptions_without_reason((ROOT / name).read_text())]
    assert not found, "say why in a comment beside"


def test_the_type_checker_is_not_silenced_where_it_never_looks():
    """mypy reads the package alone."""
    silent = [
        name
        for name in _modules()
        if not name.startswith("plugins/") and "# type: ignore[" in (ROOT / name).read_text()
    ]
    assert silent in ([], [Path(__file__).relative_to(ROOT).as_posix()])
