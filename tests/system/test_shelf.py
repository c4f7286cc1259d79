"""Errbot's own storage, which Python 3.13 keeps in a file that only one thread may use."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.servers.errbot_process import ErrbotProcess
from tests.system.plugin_copies import PLUGIN


@pytest.mark.skipif(sys.version_info < (3, 13), reason="an older Python lets every thread use a shelf")
def test_what_a_command_stores_is_there_after_a_restart(tmp_path: Path) -> None:
    bot = ErrbotProcess(tmp_path, PLUGIN, {"STORAGE": "Shelf", "TEXT_DEMO_MODE": False})
    with bot:
        bot.ask("!plugin config Webserver {'HOST': '127.0.0.1', 'PORT': 0, 'SSL': None}", "onfiguration done")
    with bot:
        bot.ask("!plugin config Webserver", "127.0.0.1")
    assert bot.log.count("Traceback") == 0
