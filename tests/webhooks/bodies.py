"""The webhook bodies of this folder: read them, and send them as their senders do.

Each file `<server>/<name>.json` has `source` (where its keys are from), `headers` and `body`. Headers that depend
on the secret or the moment are not in the files; `Body.delivery` adds them. README.md says what each body is about,
golden.md what a room reads.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
SERVERS = ("sentry", "glitchtip", "bugsink")
CLIENT_SECRET = "a-client-secret-of-32-characters"
HOOK_SECRET = "a-service-hook-secret-of-its-own"


@dataclass(frozen=True)
class Body:
    """One body with what its sender puts around it; `content` is JSON, or a text where the sender sends no JSON."""

    server: str
    name: str
    source: str
    headers: dict[str, str]
    content: Any

    @property
    def resource(self) -> str:
        """The resource of Sentry's integration platform; "" for every other sender."""
        return self.headers.get("Sentry-Hook-Resource", "")

    @property
    def is_service_hook(self) -> bool:
        return "X-ServiceHook-GUID" in self.headers

    @property
    def is_signed(self) -> bool:
        """Whether its sender signs it; the others need the address with a secret part."""
        return bool(self.resource) or self.is_service_hook

    def raw(self) -> bytes:
        """The bytes on the wire. Sentry writes JSON without spaces, the others as `json.dumps` does; all in ASCII."""
        if isinstance(self.content, str):
            return self.content.encode()
        return json.dumps(self.content, separators=(",", ":") if self.server == "sentry" else None).encode()

    def delivery(
        self, secret: str | None = None, *, request_id: str | None = None, timestamp: int | None = None
    ) -> tuple[dict[str, str], bytes]:
        """Headers and bytes of one delivery, signed where the sender signs.

        Sentry gives each delivery its own `request_id`: pass another one for a second delivery of an equal body.
        """
        raw, headers = self.raw(), dict(self.headers)
        if self.resource:
            headers["Request-ID"] = request_id or headers["Request-ID"]
            headers["Sentry-Hook-Timestamp"] = str(timestamp or headers["Sentry-Hook-Timestamp"])
            headers["Sentry-Hook-Signature"] = sign(raw, secret or CLIENT_SECRET)
        elif self.is_service_hook:
            headers["X-ServiceHook-Timestamp"] = str(timestamp or headers["X-ServiceHook-Timestamp"])
            headers["X-ServiceHook-Signature"] = sign(raw, secret or HOOK_SECRET)
        return headers, raw


def sign(raw: bytes, secret: str) -> str:
    """Sentry's signature: lower-case hex of HMAC-SHA256 over the raw bytes (sentry_apps/models/sentry_app.py)."""
    return hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()


def load(server: str, name: str) -> Body:
    """One body by the name of its file.

    Raises:
        FileNotFoundError: there is no such file.
    """
    found = json.loads((FOLDER / server / f"{name}.json").read_text(encoding="utf-8"))
    return Body(server, name, found["source"], found["headers"], found["body"])


def every(*servers: str) -> list[Body]:
    """All bodies of these servers, of all where none is named, in a stable order."""
    paths = [path for server in servers or SERVERS for path in sorted((FOLDER / server).glob("*.json"))]
    return [load(path.parent.name, path.stem) for path in paths]


def of_resource(resource: str) -> list[Body]:
    """All bodies of one resource of Sentry's integration platform."""
    return [body for body in every("sentry") if body.resource == resource]
