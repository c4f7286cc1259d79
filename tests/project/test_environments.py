"""The virtual environments of demo and tests are built once and completely, or fail with a clear sentence.

Their only requirement is a wheel made here, so no test needs the network.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from demo import environments
from demo.environments import CannotBuild, Recipe, build, folder_of, is_ready, python_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """An environment with one small wheel; the package index is a closed port."""
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    wheel = tmp_path / "little-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("little.py", "ANSWER = 42\n")
        archive.writestr("little-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: little\nVersion: 1.0\n")
        archive.writestr(
            "little-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr("little-1.0.dist-info/RECORD", "")
    return Recipe("little", (str(wheel),))


def answer(python: Path) -> str:
    return subprocess.run(
        [python, "-c", "import little; print(little.ANSWER)"], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_it_is_built_once_and_again_when_half_built_or_changed(recipe: Recipe, tmp_path: Path) -> None:
    said: list[str] = []
    python = build(recipe, tmp_path, said.append)
    assert answer(python) == "42"
    steps = [
        line.split()[0] for line in said if not line.startswith("  ...")
    ]  # on a slow machine there are signs of life
    assert steps == ["Making", "Installing", "'little'"]

    said.clear()
    assert build(recipe, tmp_path, said.append) == python
    assert said == []

    folder = python.parent.parent
    (folder / "ready").unlink()  # what a build that was cut off leaves
    (folder / "rubbish").touch()
    build(recipe, tmp_path, said.append)
    assert is_ready(folder)
    assert not (folder / "rubbish").exists()
    assert folder_of(Recipe(recipe.name, (*recipe.requirements, "another")), tmp_path) != folder


def test_two_at_once_build_one(recipe: Recipe, tmp_path: Path) -> None:
    said: list[str] = []
    builders = [threading.Thread(target=build, args=(recipe, tmp_path, said.append)) for _ in range(2)]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join()
    assert sum(line.startswith("Making") for line in said) == 1
    assert sum(line.startswith("Waiting") for line in said) == 1
    assert answer(python_of(folder_of(recipe, tmp_path))) == "42"


def test_a_failed_build_leaves_nothing_that_looks_ready_and_says_what_is_wrong(recipe: Recipe, tmp_path: Path) -> None:
    absent = Recipe("absent", ("surely-not-there==1",))
    with pytest.raises(
        CannotBuild, match=r"(?s)no way to the package index: connect to the network.*The end of .*absent.*\.log"
    ):
        build(absent, tmp_path, lambda line: None)
    assert not is_ready(folder_of(absent, tmp_path))


@pytest.mark.parametrize(
    ("log", "sentence"),
    [
        ("Error: ensurepip is not available.", "python3-venv"),
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("ERROR: No matching distribution", "A step of the installation failed"),
    ],
)
def test_common_failures_have_a_sentence(tmp_path: Path, log: str, sentence: str) -> None:
    path = tmp_path / "log"
    path.write_text(log)
    explained = environments.explain(path)
    assert sentence in explained
    assert log in explained


def test_the_launchers_need_nothing_but_the_standard_library() -> None:
    """These modules run before anything is installed, so an interpreter without site-packages can import them."""
    code = "import demo.environments, demo.bugsink, demo.processes"
    subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, check=True)
