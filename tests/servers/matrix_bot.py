"""A real Errbot with the real Matrix backend, in an environment of its own, for a Synapse of the test's own."""

from __future__ import annotations

from pathlib import Path

from tests.servers.errbot_process import ErrbotProcess
from tests.servers.matrix_client import MatrixPerson
from tests.servers.network_bot import Backend
from tests.servers.synapse import PASSWORD, Synapse

MATRIX = Backend(
    "Matrix",
    ("errbot-backend-matrix==0.0.1", "matrix-nio==0.26.0"),
    {(3, 10): "errbot-backend-matrix 0.0.1 wants 3.11"},
    "run_errbot.py",
)

# The package's own .plug names a package, which Errbot 6.2.1 cannot load as a backend: a module in a folder of one's
# own, under another name, can import the class.
_BACKEND = "MatrixRoomBot"
_PLUG = f"[Core]\nName = {_BACKEND}\nModule = matrix_backend\n[Python]\nVersion = 3\n"
_MODULE = "from err_backend_matrix.matrix import MatrixBackend\n\n__all__ = ['MatrixBackend']\n"


class MatrixBot:
    """`process` is started and stopped by the test; `id` is the bot's account, in no room yet.

    It takes every invitation. CHATROOM_PRESENCE stays empty: with a room in it the backend waits for itself for ever.
    """

    def __init__(
        self, folder: Path, synapse: Synapse, plugins: list[Path], *, admins: tuple[str, ...] = (), **settings: object
    ) -> None:
        python = MATRIX.python()
        self.account: MatrixPerson = synapse.register("sentrybot")
        backend = folder / "matrix_backend"
        backend.mkdir(parents=True)
        (backend / "matrix_backend.plug").write_text(_PLUG)
        (backend / "matrix_backend.py").write_text(_MODULE)
        self.process = ErrbotProcess(
            folder / "bot",
            plugins,
            {
                "BOT_EXTRA_BACKEND_DIR": str(backend),
                "BOT_IDENTITY": {
                    "homeserver": synapse.url,
                    "username": self.id,
                    "password": PASSWORD,
                    "device_id": "TESTBOT",
                    "ssl": False,
                },
                "BOT_ADMINS": admins,
                **settings,
            },
            backend=_BACKEND,
            python=python,
        )

    @property
    def id(self) -> str:
        """`@sentrybot:chat.test`."""
        return self.account.id

    def enter(self, room: str, host: MatrixPerson) -> None:
        """Have the running bot invited into a room by somebody who is in it, and wait until it is there."""
        host.invite(room, self.id)
        host.wait_for_member(room, self.id)
