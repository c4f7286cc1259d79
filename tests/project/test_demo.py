"""`make demo` itself: the tour, a person who leaves with Ctrl-C, and the picture."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo import bot, environments, picture, tour
from demo.picture import Run, Style
from demo.processes import Process
from tests.servers import missing
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
TOUR_SECONDS = 300.0


@pytest.fixture(scope="module", autouse=True)
def _built() -> None:
    """Builds both environments; skips with the reason where they cannot be built."""
    try:
        environments.build(environments.BUGSINK)
        environments.build(bot.recipe())
    except environments.CannotBuild as reason:
        missing(f"the demo cannot be built: {reason}")


class Screen:
    """The output of a terminal so far."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._seen = b""
        os.set_blocking(descriptor, False)

    def text(self) -> str:
        try:
            while data := os.read(self._descriptor, 65536):
                self._seen += data
        except OSError:  # nothing more now, or nobody on the other side any more
            pass
        return self._seen.decode(errors="replace")


def processes_in(folder: Path) -> list[str]:
    """Command lines of processes that mention or work in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            place = str((process / "cwd").readlink())
        except OSError:
            continue
        if process.name != str(os.getpid()) and (str(folder) in words or place.startswith(str(folder))):
            found.append(f"{process.name} {words}")
    return found


def run_tour(state: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "demo", "--state", str(state)],
        cwd=ROOT,
        env={**os.environ, "TOUR": "1", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TOUR_SECONDS,
    )


def test_the_tour_works_twice_in_a_row_without_the_network_and_leaves_nothing(tmp_path: Path) -> None:
    state = tmp_path / "demo"
    for _ in range(2):
        done = run_tour(state, PIP_INDEX_URL="http://127.0.0.1:1/simple", http_proxy="http://127.0.0.1:1")
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("✓") >= len(tour.STEPS)
    assert processes_in(state) == []
    played = tour.load(state / "tour.json")
    assert [step.typed for step in played] == [step.typed for step in tour.STEPS]
    ET.fromstring(picture.svg(picture.lines_of(played)))


def test_two_demos_do_not_share_a_folder(tmp_path: Path) -> None:
    with environments.locked(tmp_path / "demo.lock"):
        done = run_tour(tmp_path / "demo")
    assert done.returncode == 1
    assert "Another demo is running" in done.stderr


# A bot of three lines: a prompt, an answer to each line typed, and a screen that is a file.
BOT = """
printf '[@you ➡ @errbot] >>> '
while read -r line; do printf 'you said %s\\n[@you ➡ @errbot] >>> ' "$line"; done
"""


@pytest.fixture
def player(tmp_path: Path) -> Iterator[tuple[tour.Player, list[str]]]:
    said: list[str] = []
    world = tour.World(server=None, project=None)
    process = Process(["sh", "-c", BOT], tmp_path / "screen", stdin=subprocess.PIPE)
    yield tour.Player(process, world, said.append, step_seconds=1), said
    process.kill()


def test_a_step_that_shows_what_it_promises_is_kept_as_it_was(player: tuple[tour.Player, list[str]]) -> None:
    play, said = player
    step = tour.Step("An echo.", "hello", ((r"said hello", "the words"),), lambda world: "the server nods")
    (played,) = play.play((step,))
    assert (played.typed, tour.plain(played.shown)) == ("hello", "you said hello\n")
    assert said[-2:] == ["   ✓ the words", "   ✓ the server nods"]


def test_a_step_that_does_not_show_what_it_promises_fails_the_tour(player: tuple[tour.Player, list[str]]) -> None:
    step = tour.Step("An echo.", "hello", ((r"said", "the words"), (r"resolved", "the word resolved")))
    with pytest.raises(tour.Failed, match=r"(?s)after `hello`: the word resolved\..*you said hello"):
        player[0].play((step,))


def test_a_check_that_fails_fails_the_tour(player: tuple[tour.Player, list[str]]) -> None:
    def check(world: tour.World) -> str:
        raise tour.Failed("still open on the server")

    with pytest.raises(tour.Failed, match="still open"):
        player[0].play((tour.Step("An echo.", "hello", (), check),))


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="looks for left-over processes in /proc")
@pytest.mark.parametrize(("how", "code"), [("Ctrl-C", 0), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_however_it_ends_nothing_is_left(
    tmp_path: Path, terminal: tuple[int, int], how: str | signal.Signals, code: int
) -> None:
    """A person presses Ctrl-C in a real terminal, or the demo is killed; nothing keeps running."""
    ours, theirs = terminal
    state = tmp_path / "demo"
    command = [sys.executable, "-m", "demo", "--state", str(state)]
    environment = {name: value for name, value in os.environ.items() if name != "TOUR"}
    # A session of its own, with the terminal as its controlling one: so the key reaches all of it, as for a person.
    starter = (
        "import os, sys; os.setsid(); os.close(os.open(os.ttyname(0), os.O_RDWR)); os.execv(sys.argv[1], sys.argv[1:])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", starter, *command], cwd=ROOT, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    ) as demo:
        os.close(theirs)
        screen = Screen(ours)
        until(lambda: "!sentry resolve #1" in screen.text(), 120, lambda: f"the guide; the screen: {screen.text()}")
        until(lambda: ">>> " in screen.text(), 60, lambda: f"the bot's prompt; the screen: {screen.text()}")
        os.write(ours, b"!shop checkout 2\r")
        until(lambda: "5.45 each" in screen.text(), 60, lambda: f"the bot's answer; the screen: {screen.text()}")
        os.write(ours, b"help\r")
        until(lambda: screen.text().count("Then in the room") == 2, 60, lambda: f"the guide again; {screen.text()}")
        assert processes_in(state)
        os.write(ours, b"\x03")
        until(lambda: screen.text() is not None and demo.poll() is not None, 60, lambda: f"the end; {screen.text()}")
    assert demo.returncode == 0, screen.text()
    assert processes_in(state) == []
    assert "Traceback" not in screen.text()


def test_a_picture_keeps_colours_wraps_and_escapes() -> None:
    shown = "\x1b[31m[@you ➡ @errbot] \x1b[36m>>> \x1b[0m\n\n\x1b[1m<b>&\x1b[0m \x1b[32mgreen\x1b[39m\n\n\n" + "x" * (
        picture.COLUMNS + 1
    )
    lines = picture.lines_of([tour.Played("Why.", "!type", shown)])
    assert [[run.text for run in line] for line in lines] == [
        ["# 1. Why."],
        ["> ", "!type"],
        ["<b>&", " ", "green"],
        [],
        ["x" * picture.COLUMNS],
        ["x"],
    ]
    assert lines[2][0] == Run("<b>&", Style(bold=True))
    assert lines[2][2].style.colour != Style().colour
    drawn = ET.fromstring(picture.svg(lines))
    spans = [span.text for span in drawn.iter("{http://www.w3.org/2000/svg}tspan")]
    assert spans == ["# 1. Why.", "> ", "!type", "<b>&", " ", "green", "x" * picture.COLUMNS, "x"]


def test_wide_letters_take_two_columns() -> None:
    assert picture.width("é日🔥\u200b") == 5
