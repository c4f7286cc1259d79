"""Each Errbot that the plugin supports, on the Pythons that go with it: it starts, answers, reports and alerts."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo import environments
from demo.environments import ROOT, Recipe
from tests.servers import missing
from tests.servers.bugsink import BugsinkProject
from tests.servers.errbot_process import ErrbotProcess
from tests.servers.ngircd import Ngircd
from tests.servers.pythons import interpreter
from tests.system.irc_world import BOT, ROOM, IrcWorld, person_in_room
from tests.system.plugin_copies import PLUGIN, install_wheel

FLOORS = [line for line in (ROOT / "requirements-floors.txt").read_text().splitlines() if line[:1].isalpha()]
OURS = tuple(line for line in FLOORS if not line.startswith("errbot"))
# What the operators that we know run, and the newest.
VERSIONS = [("6.2.0", "3.10"), ("6.2.0", "3.11"), ("6.2.1", "3.10")]


@pytest.fixture(params=VERSIONS, ids=lambda pair: f"errbot {pair[0]}, python {pair[1]}")
def python(request: pytest.FixtureRequest) -> Path:
    """The Python of an environment with this Errbot."""
    errbot, version = request.param
    recipe = Recipe(f"errbot-{errbot}-{version}", (f"errbot[irc]=={errbot}", *OURS), interpreter(version))
    try:
        return environments.build(recipe)
    except environments.CannotBuild as reason:
        missing(f"no Errbot {errbot} to test with: {reason}")


def test_it_starts_and_answers_on_the_text_backend(tmp_path: Path, python: Path) -> None:
    with ErrbotProcess(tmp_path, PLUGIN, python=python) as bot:
        bot.ask("!sentry status", "delivery")
        bot.ask("!sentry whoami", "In chat you are")
        bot.ask("!help sentry issues", "(?i)unresolved issues")
        bot.ask("!plugin reload SentryReporter", "(?i)reloaded")
        bot.ask("!sentry status", "delivery")
        assert bot.stop() == 0
    assert "Traceback" not in bot.log


def test_a_wheel_is_found_by_its_entry_point(tmp_path: Path, python: Path) -> None:
    site, empty = install_wheel(tmp_path), tmp_path / "empty"
    empty.mkdir()
    with ErrbotProcess(tmp_path / "bot", empty, python=python, env={"PYTHONPATH": str(site)}) as bot:
        bot.ask("!sentry status", "delivery")


def test_an_error_is_reported_and_alerted_and_resolved_on_irc(
    tmp_path: Path, python: Path, ngircd: Ngircd, bugsink_project: BugsinkProject
) -> None:
    world = IrcWorld(tmp_path, ngircd, bugsink_project, python=python)
    bugsink_project.add_alert(world.webhook)
    with person_in_room(ngircd) as alice, world.bot:
        alice.wait_for_join(BOT, ROOM)
        alice.say(ROOM, "!checkout")
        alice.wait_for(r"ZeroDivisionError: division by zero.*", sender=BOT, target=ROOM)
        (issue,) = bugsink_project.issues()
        seen = alice.count()
        alice.say(ROOM, f"!sentry resolve {issue['friendly_id']}")
        alice.wait_for(r"(?i)resolved", sender=BOT, target=ROOM, after=seen)
        (event,) = bugsink_project.events(issue["id"])
        assert dict(event["data"]["tags"])["bot.command"] == "checkout"
    assert "Errbot is left as it is" not in world.bot.log
    assert "is not changed" not in world.bot.log
