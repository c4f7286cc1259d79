"""A real Matrix server (Synapse, from PyPI) for tests, on loopback, with SQLite, no federation and no brakes.

Its options: https://element-hq.github.io/synapse/latest/usage/configuration/config_documentation.html
Its admin calls: https://element-hq.github.io/synapse/latest/usage/administration/admin_api/
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.parse import quote

import pytest

from demo import environments
from demo.environments import Recipe
from demo.processes import Process, Server, free_port, open_url
from tests.servers import missing
from tests.servers.matrix_client import MatrixPerson, call

SYNAPSE = Recipe("synapse", ("matrix-synapse==1.163.2",))
START_SECONDS = 90.0
DOMAIN = "chat.test"
PASSWORD = "a-password"

_SECRET = "a-registration-secret"
_NO_BRAKE = {"per_second": 100_000, "burst_count": 100_000}
_BRAKES = {
    **dict.fromkeys(("rc_message", "rc_registration", "rc_admin_redaction", "rc_room_creation"), _NO_BRAKE),
    "rc_login": dict.fromkeys(("address", "account", "failed_attempts"), _NO_BRAKE),
    "rc_joins": dict.fromkeys(("local", "remote"), _NO_BRAKE),
    "rc_invites": dict.fromkeys(("per_room", "per_user", "per_issuer"), _NO_BRAKE),
}


class Synapse(Server):
    """A server in a folder of its own; port and data stay the same over `kill` (or `stop`) and `start`.

    `register` makes accounts; what people do then is in `MatrixPerson`. `environment_python` runs Synapse.
    """

    host = "127.0.0.1"

    def __init__(self, folder: Path, environment_python: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._python = environment_python
        self._admin: MatrixPerson | None = None
        self._write_config()

    @property
    def url(self) -> str:
        """The base URL for clients (`homeserver` in BOT_IDENTITY)."""
        return f"http://{self.host}:{self.port}"

    def start(self) -> Synapse:
        """Serve, and return once it answers; one to two seconds on an idle machine."""
        process = Process(
            [self._python, "-m", "synapse.app.homeserver", "-c", self.folder / "homeserver.yaml"],
            self.folder / "synapse.log",
            cwd=self.folder,
        )
        self._serve(process, self._healthy, START_SECONDS, f"Synapse answers on port {self.port}")
        return self

    def register(self, name: str, *, admin: bool = False) -> MatrixPerson:
        """Make the account `@name:chat.test` (password PASSWORD), logged in.

        Shared-secret registration: `admin_api/register_api.html` in Synapse's documentation.
        """
        path = "/_synapse/admin/v1/register"
        nonce = call(self.url, "GET", path)["nonce"]
        parts = [nonce, name, PASSWORD, "admin" if admin else "notadmin"]
        mac = hmac.new(_SECRET.encode(), "\0".join(parts).encode(), hashlib.sha1).hexdigest()
        body = {"nonce": nonce, "username": name, "password": PASSWORD, "admin": admin, "mac": mac}
        made = call(self.url, "POST", path, body)
        return MatrixPerson(self.url, made["user_id"], made["access_token"])

    def limit_rate(self, user_id: str, per_second: int = 1, burst: int = 1) -> None:
        """From now on this account's messages meet 429 `M_LIMIT_EXCEEDED` with `retry_after_ms`; see `unlimit_rate`.

        `per_second` is a whole number: Synapse's override takes no fractions, so waits are below a second.
        """
        self._administer(
            "POST",
            f"v1/users/{quote(user_id)}/override_ratelimit",
            {"messages_per_second": per_second, "burst_count": burst},
        )

    def unlimit_rate(self, user_id: str) -> None:
        """Take `limit_rate` back."""
        self._administer("DELETE", f"v1/users/{quote(user_id)}/override_ratelimit")

    def delete_room(self, room_id: str) -> None:
        """Make everybody leave a room and forget it: what is sent there afterwards is `M_FORBIDDEN`."""
        self._administer("DELETE", f"v1/rooms/{quote(room_id)}", {"purge": True, "block": True})

    def log_out(self, user_id: str) -> None:
        """End the account: its tokens are refused from now on with `M_UNKNOWN_TOKEN`."""
        self._administer("POST", f"v1/deactivate/{quote(user_id)}", {"erase": False})

    def end_session(self, user_id: str, device_id: str) -> None:
        """Refuse the token of this login from now on with `M_UNKNOWN_TOKEN`; the account can log in again."""
        self._administer("POST", f"v2/users/{quote(user_id)}/delete_devices", {"devices": [device_id]})

    def _administer(self, method: str, path: str, body: object = None) -> None:
        if self._admin is None:
            self._admin = self.register("synapse-admin", admin=True)
        self._admin.api(method, f"/_synapse/admin/{path}", body)

    def _healthy(self) -> bool:
        try:
            with open_url(f"{self.url}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def _write_config(self) -> None:
        """Every line is ours; JSON is YAML too. Names of options as in Synapse's configuration manual."""
        seed = base64.b64encode(secrets.token_bytes(32)).decode().rstrip("=")
        resources = [{"names": ["client", "media"], "compress": False}]
        options = {
            "server_name": DOMAIN,
            "listeners": [
                {"port": self.port, "bind_addresses": [self.host], "type": "http", "tls": False, "resources": resources}
            ],
            "database": {"name": "sqlite3", "args": {"database": str(self.folder / "homeserver.db")}},
            "log_config": str(self.folder / "log.yaml"),
            "media_store_path": str(self.folder / "media"),
            "signing_key": f"ed25519 a_test {seed}",
            "registration_shared_secret": _SECRET,
            "macaroon_secret_key": "a-macaroon-secret",
            "form_secret": "a-form-secret",
            "bcrypt_rounds": 4,  # passwords need not be slow here
            "report_stats": False,
            "federation_domain_whitelist": [],  # nobody: no federation
            "trusted_key_servers": [],
            "suppress_key_server_warning": True,
            "url_preview_enabled": False,
            "presence": {"enabled": False},
            **_BRAKES,
        }
        (self.folder / "homeserver.yaml").write_text(json.dumps(options))
        (self.folder / "log.yaml").write_text(
            json.dumps(
                {
                    "version": 1,
                    "disable_existing_loggers": False,
                    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
                    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
                    "root": {"level": "INFO", "handlers": ["console"]},
                }
            )
        )


@pytest.fixture
def synapse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Synapse]:
    """A running Matrix server of the test's own."""
    try:
        python = environments.build(SYNAPSE)
    except environments.CannotBuild as reason:
        missing(f"no Synapse to test with: {reason}")
    with Synapse(tmp_path_factory.mktemp("synapse"), python) as server:
        yield server
