"""A stand-in for Slack's Web API, as far as errbot-backend-slackv3 0.3.2 and slack_sdk use it, and its signed events.

Methods and answers as docs.slack.dev/reference/methods describes them: `ok`, `error`, `ts` as "seconds.number".
"""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qsl

from tests.fakes.http_server import HttpServer, Reply, Request, as_json

BOT_ID, BOT_NAME = "U00BOT", "sentrybot"
SIGNING_SECRET = "a-signing-secret"


@dataclass
class Said:
    """A message in a channel as it stands now; `texts` is every version of it."""

    channel: str
    ts: str
    texts: list[str]
    thread: str = ""

    @property
    def text(self) -> str:
        return self.texts[-1]


class SlackServer(HttpServer):
    """One workspace: `channels` (id to name), `users` (id to display name). `fails` makes methods answer an error."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.channels = {"C00OPS": "ops", "C00WEB": "web"}
        self.users = {BOT_ID: BOT_NAME, "U00ANN": "ann", "U00BOB": "bob"}
        self.said: list[Said] = []
        self.files: list[dict[str, Any]] = []
        self.fails: dict[str, str] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._uploads: dict[str, bytes] = {}
        self._guard = threading.Lock()

    @property
    def api(self) -> str:
        """The base URL for slack_sdk."""
        return f"{self.url}/api/"

    def called(self, method: str) -> list[dict[str, Any]]:
        """What a method was called with so far."""
        return [values for name, values in self.calls if name == method]

    def in_channel(self, channel: str) -> list[Said]:
        """What stands in a channel, oldest first."""
        return [each for each in self.said if each.channel == channel]

    def _answer(self, request: Request) -> Reply:
        if request.path.startswith("/upload/"):
            self._uploads[request.segments[1]] = request.body
            return Reply(200, b"OK")
        method, values = request.path.removeprefix("/api/"), _values(request)
        with self._guard:
            self.calls.append((method, values))
            if method in self.fails:
                return as_json({"ok": False, "error": self.fails[method]})
            handler = getattr(self, "_" + method.replace(".", "_"), None)
            if handler is None:
                return as_json({"ok": False, "error": "unknown_method"})
            found = handler(values)
        if "error" in found:
            return as_json({"ok": False, **found})
        return as_json({"ok": True, **found}, x_oauth_scopes="chat:write,files:write,reactions:read,channels:read")

    def _auth_test(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"user_id": BOT_ID, "user": BOT_NAME, "team_id": "T00", "team": "acme", "bot_id": "B00BOT"}

    def _users_info(self, values: dict[str, Any]) -> dict[str, Any]:
        name = self.users.get(values["user"])
        if name is None:
            return {"error": "user_not_found"}
        profile = {"real_name": name.title(), "display_name": name, "email": f"{name}@example.org", "team": "T00"}
        return {"user": {"id": values["user"], "name": name, "team_id": "T00", "profile": profile}}

    def _team_info(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"team": {"id": "T00", "name": "acme", "domain": "acme"}}

    def _users_list(self, _: dict[str, Any]) -> dict[str, Any]:
        members = [{"id": key, "name": name} for key, name in self.users.items()]
        return {"members": members, "response_metadata": {"next_cursor": ""}}

    def _conversations_list(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"channels": [self._channel(key) for key in self.channels], "response_metadata": {"next_cursor": ""}}

    def _conversations_info(self, values: dict[str, Any]) -> dict[str, Any]:
        found = values["channel"] in self.channels
        return {"channel": self._channel(values["channel"])} if found else {"error": "channel_not_found"}

    def _conversations_join(self, values: dict[str, Any]) -> dict[str, Any]:
        return self._conversations_info(values)

    def _channel(self, key: str) -> dict[str, Any]:
        topic = {"value": ""}
        return {"id": key, "name": self.channels[key], "is_member": True, "topic": topic, "purpose": topic}

    def _chat_postMessage(self, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - Slack's name
        if values["channel"] not in self.channels:
            return {"error": "channel_not_found"}
        said = Said(
            values["channel"], f"1760000000.{len(self.said) + 1:06}", [values["text"]], values.get("thread_ts", "")
        )
        self.said.append(said)
        return {"channel": said.channel, "ts": said.ts, "message": {"text": said.text}}

    def _chat_update(self, values: dict[str, Any]) -> dict[str, Any]:
        for said in self.said:
            if (said.channel, said.ts) == (values["channel"], values["ts"]):
                said.texts.append(values["text"])
                return {"channel": said.channel, "ts": said.ts, "text": said.text}
        return {"error": "message_not_found"}

    def _files_getUploadURLExternal(self, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - Slack's name
        key = f"F{len(self._uploads) + len(self.files):05}"
        return {"upload_url": f"{self.url}/upload/{key}", "file_id": key}

    def _files_completeUploadExternal(self, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - Slack's name
        if values["channel_id"] not in self.channels:
            return {"error": "invalid_channel"}
        files = values["files"] if isinstance(values["files"], list) else json.loads(values["files"])
        for file in files:
            content = self._uploads[file["id"]]
            self.files.append(
                {**file, "channel": values["channel_id"], "content": content, "thread": values.get("thread_ts")}
            )
        return {"files": files}


def _values(request: Request) -> dict[str, Any]:
    """What a call was made with: in the query, as a form, or as JSON."""
    values: dict[str, Any] = dict(request.query)
    if request.headers.get("content-type", "").startswith("application/json"):
        values.update(request.json or {})
    elif request.method == "POST":
        values.update(parse_qsl(request.body.decode(errors="replace"), keep_blank_values=True))
    return values


def send_event(address: str, event: dict[str, Any]) -> int:
    """Slack tells the bot of something: a signed POST to its address; the answer's status."""
    body = json.dumps({"type": "event_callback", "team_id": "T00", "event": event}).encode()
    stamp = str(int(time.time()))
    signed = hmac.new(SIGNING_SECRET.encode(), b"v0:" + stamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/json",
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": f"v0={signed}",
    }
    try:
        with urllib.request.urlopen(urllib.request.Request(address, body, headers), timeout=30) as answer:
            return int(answer.status)
    except HTTPError as refusal:
        refusal.close()
        return refusal.code
