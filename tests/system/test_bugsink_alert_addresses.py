"""What lets a real Bugsink 2.6.1 post to a bot on a private address, as docs/servers.md says."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo import environments
from demo.bugsink import Bugsink
from tests.fakes.http_server import HttpServer, Reply
from tests.servers import missing
from tests.servers.bugsink import BugsinkProject


@pytest.mark.parametrize(("deny", "taken"), [(True, 0), (False, 1)])
def test_the_allow_list_does_not_open_a_private_address(tmp_path: Path, deny: bool, taken: int) -> None:
    """`ALERTS_WEBHOOK_DENY_NON_GLOBAL` does, whatever the error message recommends."""
    try:
        python = environments.build(environments.BUGSINK)
    except environments.CannotBuild as reason:
        missing(f"no Bugsink to test against: {reason}")
    settings = {"ALERTS_WEBHOOK_DENY_NON_GLOBAL": deny, "ALERTS_WEBHOOK_ALLOW_LIST": ["127.0.0.1", "127.0.0.0/8"]}
    with (
        HttpServer(lambda _request: Reply(200)) as bot,
        Bugsink(tmp_path / "bugsink", python, settings=settings) as server,
    ):
        project = BugsinkProject(server, server.make_project("web"))
        project.add_alert(f"{bot.url}/sentry/webhook/word")
        project.send_event("AError", "a")  # tasks are eager: its alert was posted, or not, when this returns
        assert len(bot.requests) == taken
        assert ("ALERTS_WEBHOOK_ALLOW_LIST" in (project.last_alert_failure() or "")) is deny
