"""However it is installed, the plugin loads, activates and answers; a real Errbot each time."""

from __future__ import annotations

import pytest

from tests.servers.errbot_process import ErrbotProcess
from tests.system.plugin_copies import PLUGIN, copy_folder, git_repository, install_wheel


def _answers(bot: ErrbotProcess) -> None:
    bot.ask("!sentry status", "delivery")
    assert "Traceback" not in bot.log


def test_a_copied_folder_runs_alone(tmp_path):
    """The folder is the whole product."""
    copy_folder(tmp_path / "extra")
    with ErrbotProcess(tmp_path / "bot", tmp_path / "extra") as bot:
        _answers(bot)


@pytest.mark.parametrize("place", [PLUGIN, PLUGIN.parent], ids=["the folder", "the folder above it"])
def test_the_extra_plugin_dir_may_be_the_folder_or_the_one_above(tmp_path, place):
    """Both are natural readings of BOT_EXTRA_PLUGIN_DIR."""
    with ErrbotProcess(tmp_path / "bot", place) as bot:
        _answers(bot)


def test_repos_install_from_a_git_path(tmp_path):
    """On a running bot, as the admin does it in chat; no other plugin of the repository is loaded."""
    repository = git_repository(tmp_path / "repository")
    empty = tmp_path / "empty"
    empty.mkdir()
    with ErrbotProcess(tmp_path / "bot", empty) as bot:
        bot.ask(f"!repos install {repository}", r"A new plugin repository has been installed correctly")
        _answers(bot)
        bot.ask("!status plugins", r"SentryReporter")
        before = len(bot.output)
        bot.ask("!repos update all", r"Done\.")
        assert "You need these dependencies" not in bot.output[before:]
    assert "failed" not in bot.output.lower()


def test_a_wheel_is_found_by_its_entry_point(tmp_path):
    """Built from the tree and installed beside Errbot; nothing of ours in the bot's own folders."""
    site = install_wheel(tmp_path)
    assert [path.name for path in site.iterdir() if path.is_dir() and not path.name.endswith(".dist-info")] == [
        "errbot_sentry_reporter"
    ]
    empty = tmp_path / "empty"
    empty.mkdir()
    with ErrbotProcess(tmp_path / "bot", empty, env={"PYTHONPATH": str(site)}) as bot:
        _answers(bot)


def test_a_copy_and_a_wheel_together_are_refused_in_words(tmp_path):
    """Two copies of the package would mix; the admin is told which to remove."""
    site = tmp_path / "site"
    copy_folder(site)
    copy_folder(tmp_path / "extra")
    with ErrbotProcess(tmp_path / "bot", tmp_path / "extra", env={"PYTHONPATH": str(site / "sentry_reporter")}) as bot:
        bot.wait_for_log("is installed twice")
