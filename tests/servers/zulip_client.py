"""The real `zulip` client package, in an environment of its own, for a stand-in for the server.

No Errbot backend for Zulip is on PyPI (zulip/errbot-backend-zulip is a repository only): so tests run a script of their
own with the client, whose calls the backend makes too.
"""

from __future__ import annotations

from pathlib import Path

from demo import environments
from demo.environments import Recipe
from demo.processes import Process, environment
from tests.fakes.zulip_server import API_KEY, BOT_EMAIL, ZulipServer
from tests.servers import missing

ZULIP = Recipe("zulip-client", ("zulip==0.9.1",))

_HEAD = """\
import json, sys, zulip
client = zulip.Client(email={email!r}, api_key={key!r}, site={site!r})
"""


def run_with_zulip(folder: Path, server: ZulipServer, source: str) -> Process:
    """Start a script that finds `client` (logged in), `json` and `sys` made; the test stops it. `log` is its output."""
    try:
        python = environments.build(ZULIP)
    except environments.CannotBuild as reason:
        missing(f"no zulip client to test with: {reason}")
    script = folder / "with_zulip.py"
    script.write_text(_HEAD.format(email=BOT_EMAIL, key=API_KEY, site=server.url) + source)
    return Process([python, "-u", script], folder / "with_zulip.log", cwd=folder, env=environment())
