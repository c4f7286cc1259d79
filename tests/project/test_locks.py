"""Every lock of the package is one that no thread can take twice to its own death: `errbot_sentry.locks`."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "plugins" / "sentry_reporter"
# Each has a section under a plain lock, in which a finaliser may run that comes back. `queue.SimpleQueue` has none.
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


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_has_a_lock_of_its_own_kind(path: Path) -> None:
    assert not bare_locks(path.read_text()), "use errbot_sentry.locks, or queue.SimpleQueue"


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
