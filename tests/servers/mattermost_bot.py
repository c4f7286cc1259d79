"""A real Errbot with the real Mattermost backend against the stand-in, over http or https."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from demo.environments import ROOT
from tests.fakes.mattermost_server import TOKEN, MattermostServer
from tests.fakes.mattermost_team import TEAM_NAME
from tests.servers.network_bot import Backend, NetworkBot
from tests.system.plugin_copies import PLUGIN

MATTERMOST = Backend(
    "Mattermost",
    ("err-backend-mattermost==3.0.0", "mattermostdriver==7.3.2"),
    {},
    "run_errbot_on_mattermost.py",
    "err-backend-mattermost",
)


OURS = ("config",)
"""What a user of our plugin does; the plugin mends the rest by itself."""


def lines_for_config() -> str:
    """What docs/networks.md has people put into config.py."""
    (found,) = re.findall(r"^```python\n(import asyncio\n.*?)```", (ROOT / "docs/networks.md").read_text(), re.M | re.S)
    return str(found)


class MattermostBot(NetworkBot):
    """`shims`: see run_errbot_on_mattermost.py. `trust` is the PEM file of the stand-in's certificate, for https."""

    def __init__(
        self,
        folder: Path,
        server: MattermostServer,
        plugins: Sequence[Path] = (PLUGIN,),
        shims: Sequence[str] = ("coroutine", "tls"),
        trust: Path | None = None,
        **settings: Any,
    ) -> None:
        where = urlsplit(server.url)
        trusting = {} if trust is None else {"REQUESTS_CA_BUNDLE": str(trust), "SSL_CERT_FILE": str(trust)}
        super().__init__(
            folder,
            MATTERMOST,
            plugins,
            {
                "BOT_IDENTITY": {
                    "team": TEAM_NAME,
                    "server": where.hostname,
                    "scheme": where.scheme,
                    "port": where.port,
                    "token": TOKEN,
                },
                "BOT_ADMINS": ("@ann",),
                **settings,
            },
            {"MATTERMOST_SHIMS": " ".join(shims), "MATTERMOST_CONFIG": lines_for_config(), **trusting},
        )
        self.process.settings.setdefault("SENTRY_PUBLIC_URL", self.listener)
        self.process.write_config()
