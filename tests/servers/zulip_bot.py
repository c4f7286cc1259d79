"""A real Errbot with the real Zulip client package and a stand-in for the backend (zulip_backend.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.fakes.zulip_server import API_KEY, BOT_EMAIL, ZulipServer
from tests.servers.network_bot import Backend, NetworkBot
from tests.system.plugin_copies import PLUGIN

ZULIP = Backend("Zulip", ("zulip==0.9.1",), {}, "run_errbot.py")
_PLUG = "[Core]\nName = Zulip\nModule = zulip_backend\n[Python]\nVersion = 3\n"


class ZulipBot(NetworkBot):
    """Ann is its admin."""

    def __init__(self, folder: Path, server: ZulipServer, **settings: Any) -> None:
        backend = folder / "zulip_backend"
        backend.mkdir(parents=True)
        (backend / "zulip_backend.plug").write_text(_PLUG)
        (backend / "zulip_backend.py").write_text(Path(__file__).with_name("zulip_backend.py").read_text())
        identity = {"email": BOT_EMAIL, "key": API_KEY, "site": server.url}
        super().__init__(
            folder,
            ZULIP,
            [PLUGIN],
            {
                "BOT_EXTRA_BACKEND_DIR": str(backend),
                "BOT_IDENTITY": identity,
                "BOT_ADMINS": ("ann@zulip.test",),
                **settings,
            },
            {},
        )
