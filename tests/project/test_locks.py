"""Every lock of the package is from `errbot_sentry.domain.locks`: taken twice by one thread, it raises an error."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "plugins" / "sentry_reporter"
# A finaliser that runs while one of these is locked may want it again. `queue.SimpleQueue` is safe.
BARE = {
    "threading": {"Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore", "Barrier"},
    "queue": {"Queue", "LifoQueue", "PriorityQueue"},
    "multiprocessing": {"Lock", "RLock", "Condition", "Queue"},
    "_thread": {"allocate_lock", "RLock"},
}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "locks.py")


def bare_locks(source: str) -> set[str]:
    """The standard library's locks and queues that a module names."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found |= {f"{node.value.id}.{node.attr}"} if node.attr in BARE.get(node.value.id, ()) else set()
        elif isinstance(node, ast.ImportFrom):
            names = {alias.name for alias in node.names}
            found |= {f"{node.module}.{name}" for name in names & BARE.get(node.module or "", set())}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in BARE and alias.asname}
    return found


def held_too_long(source: str) -> list[int]:
    """The lines where a lock is taken without `with`, or kept over a `yield`.

    A generator may never go on, or go on in another thread, and nobody gets the lock until then.
    """
    tree = ast.parse(source)
    made = ("Lock", "condition")
    locks = {
        target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and getattr(node.value.func, "id", "") in made
        for target in node.targets
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.With):
            names = {getattr(item.context_expr, "attr", getattr(item.context_expr, "id", "")) for item in node.items}
            if names & locks and any(isinstance(inner, (ast.Yield, ast.YieldFrom)) for inner in ast.walk(node)):
                found.append(node.lineno)
        elif isinstance(node, ast.Attribute) and node.attr == "acquire":
            found.append(node.lineno)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_lock_is_held_over_a_yield(path: Path) -> None:
    assert not held_too_long(path.read_text())


@pytest.mark.parametrize(
    "source",
    [
        "self._guard = Lock()\ndef f(self):\n    with self._guard:\n        yield 1",
        "turn = condition()\ndef f():\n    with turn:\n        yield from g()",
        "self._busy.acquire(blocking=False)",
    ],
)
def test_the_rule_sees_what_is_held_too_long(source: str) -> None:
    assert held_too_long(source)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_has_a_lock_of_its_own_kind(path: Path) -> None:
    assert not bare_locks(path.read_text()), "use errbot_sentry.domain.locks, or queue.SimpleQueue"


@pytest.mark.parametrize(
    "source",
    [
        "import threading\nx = threading.Lock()",
        "from threading import RLock",
        "import threading as t",
        "import queue\nx: queue.Queue[int]",
        "from queue import LifoQueue as L",
    ],
)
def test_the_rule_sees_what_it_forbids(source: str) -> None:
    assert bare_locks(source)
