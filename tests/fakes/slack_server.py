"""A stand-in for Slack: its Web API as far as errbot-backend-slackv3 0.3.2 and slack_sdk use it, and socket mode.

Methods, arguments, errors and answers as docs.slack.dev/reference/methods describes them (one page for each method):
`ok`, `error`, `ts` as "seconds.number". A rate limit (docs.slack.dev/apis/web-api/rate-limits) is HTTP 429 with
`Retry-After` in seconds and `{"ok": false, "error": "ratelimited"}`.
"""

from __future__ import annotations

import json
import threading
import uuid
from typing import Any
from urllib.parse import parse_qsl

from tests.fakes.http_server import HttpServer, Reply, Request, as_json
from tests.fakes.slack_messages import BOT_ID, BOT_NAME, Said, Whispered, parsed
from tests.fakes.slack_signed import SIGNING_SECRET, send_event
from tests.fakes.slack_socket import SocketMode
from tests.fakes.websocket import reset, upgrade

__all__ = ["BOT_ID", "BOT_NAME", "SIGNING_SECRET", "Said", "SlackServer", "Whispered", "send_event"]


class SlackServer(HttpServer):
    """One workspace: `channels` (id to name), `users` (id to display name), and what the bot did there.

    `fails` makes methods answer an error until it is taken out; `limit` makes one answer 429. The bot is not in the
    channels of `left` and nobody may write in those of `archived`. `socket` is socket mode. While `offline`, every new
    connection is reset.
    """

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.channels = {"C00OPS": "ops", "C00WEB": "web"}
        self.users = {BOT_ID: BOT_NAME, "U00ANN": "ann", "U00BOB": "bob"}
        self.said: list[Said] = []
        self.files: list[dict[str, Any]] = []
        self.whispered: list[Whispered] = []
        self.responses: list[tuple[str, dict[str, Any]]] = []
        self.fails: dict[str, str] = {}
        self.archived: set[str] = set()
        self.left: set[str] = set()
        self.offline = False
        self._lost: list[str] = []
        self.socket = SocketMode()
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._uploads: dict[str, bytes] = {}
        self._limits: dict[str, list[int]] = {}
        self._response_urls: dict[str, tuple[Said, str, list[int]]] = {}
        self._guard = threading.Lock()

    @property
    def api(self) -> str:
        """The base URL for slack_sdk."""
        return f"{self.url}/api/"

    def __exit__(self, *_: object) -> None:
        self.socket.drop()
        super().__exit__()

    def limit(self, method: str, retry_after: int, times: int = 1) -> None:
        """The next `times` calls of a method are answered 429 with `Retry-After` in seconds."""
        self._limits[method] = [retry_after] * times

    def lose_answer(self, method: str) -> None:
        """The next call of a method takes effect, and its connection is reset instead of an answer."""
        self._lost.append(method)

    def click_payload(self, person: str, said: Said, action_id: str, option: str = "") -> dict[str, Any]:
        """What Slack sends when somebody clicks: a button, or an `option` (its value) of a menu.

        docs.slack.dev/reference/interaction-payloads/block_actions-payload. Its `response_url` takes five answers.
        """
        element = said.element(action_id)
        action = {"action_id": action_id, "block_id": element["block_id"], "type": element["type"]}
        action["action_ts"] = "1760000003.000100"
        if option:
            action["selected_option"] = next(each for each in element["options"] if each["value"] == option)
        else:
            action |= {"text": element["text"], "value": element.get("value", "")}
        key = uuid.uuid4().hex
        self._response_urls[key] = (said, person, [])
        container = {"type": "message", "message_ts": said.ts, "channel_id": said.channel, "is_ephemeral": False}
        message = {"type": "message", "user": BOT_ID, "ts": said.ts, "text": said.text, "blocks": said.blocks}
        if said.thread:
            container["thread_ts"] = message["thread_ts"] = said.thread
        return {
            "type": "block_actions",
            "user": {"id": person, "username": self.users[person], "name": self.users[person], "team_id": "T00"},
            "api_app_id": "A00",
            "token": "legacy-verification-token",
            "container": container,
            "trigger_id": "1.2.abc",
            "team": {"id": "T00", "domain": "acme"},
            "enterprise": None,
            "is_enterprise_install": False,
            "channel": {"id": said.channel, "name": self.channels[said.channel]},
            "message": message,
            "state": {"values": {}},
            "response_url": f"{self.url}/response/{key}",
            "actions": [action],
        }

    def called(self, method: str) -> list[dict[str, Any]]:
        """What a method was called with so far."""
        return [values for name, values in self.calls if name == method]

    def in_channel(self, channel: str) -> list[Said]:
        """What stands in a channel, oldest first."""
        return [each for each in self.said if each.channel == channel]

    def _answer(self, request: Request) -> Reply:
        if self.offline:
            return Reply(raw=reset)
        if request.path.startswith("/upload/"):
            self._uploads[request.segments[1]] = request.body
            return Reply(200, b"OK")
        if request.path == "/link":
            return upgrade(request, self.socket.serve)
        if request.path.startswith("/response/"):
            with self._guard:
                return self._respond(request.segments[1], request.json or {})
        method, values = request.path.removeprefix("/api/"), _values(request)
        with self._guard:
            self.calls.append((method, values))
            if self._limits.get(method):
                wait = str(self._limits[method].pop())
                return as_json({"ok": False, "error": "ratelimited"}, 429, Retry_After=wait)
            if method in self.fails:
                return as_json({"ok": False, "error": self.fails[method]})
            handler = getattr(self, "_" + method.replace(".", "_"), None)
            if handler is None:
                return as_json({"ok": False, "error": "unknown_method"})
            found = handler(values)
            if method in self._lost:
                self._lost.remove(method)
                return Reply(raw=reset)
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
        if (person := "U" + values["channel"][1:]) in self.users and values["channel"].startswith("D"):
            self._conversations_open({"users": person})
        found = values["channel"] in self.channels
        return {"channel": self._channel(values["channel"])} if found else {"error": "channel_not_found"}

    def _conversations_join(self, values: dict[str, Any]) -> dict[str, Any]:
        return self._conversations_info(values)

    def _channel(self, key: str) -> dict[str, Any]:
        topic = {"value": ""}
        state = {"is_member": key not in self.left, "is_archived": key in self.archived}
        return {"id": key, "name": self.channels[key], "topic": topic, "purpose": topic, **state}

    def _conversations_open(self, values: dict[str, Any]) -> dict[str, Any]:
        """A direct conversation: its id begins with D."""
        if values["users"] not in self.users:
            return {"error": "user_not_found"}
        key = "D" + values["users"][1:]
        self.channels.setdefault(key, self.users[values["users"]])
        return {"channel": {"id": key}}

    def _refusal(self, channel: str) -> dict[str, Any] | None:
        if channel not in self.channels:
            return {"error": "channel_not_found"}
        if channel in self.archived:
            return {"error": "is_archived"}
        return {"error": "not_in_channel"} if channel in self.left else None

    def _chat_postMessage(self, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - Slack's name
        if refusal := self._refusal(values["channel"]):
            return refusal
        if not any(values.get(name) for name in ("text", "blocks", "attachments")):
            return {"error": "no_text"}
        said = self._add(values["channel"], values)
        return {"channel": said.channel, "ts": said.ts, "message": {"text": said.text}}

    def _add(self, channel: str, values: dict[str, Any]) -> Said:
        ts = f"1760000000.{len(self.said) + 1:06}"
        said = Said(channel, ts, [values.get("text", "")], values.get("thread_ts", ""))
        said.blocks, said.attachments = parsed(values.get("blocks")), parsed(values.get("attachments"))
        self.said.append(said)
        return said

    def _find(self, channel: str, ts: str) -> Said | None:
        return next((said for said in self.said if (said.channel, said.ts) == (channel, ts)), None)

    def _chat_update(self, values: dict[str, Any]) -> dict[str, Any]:
        if refusal := self._refusal(values["channel"]):
            return refusal
        said = self._find(values["channel"], values["ts"])
        if said is None:
            return {"error": "message_not_found"}
        said.change(values)
        return {"channel": said.channel, "ts": said.ts, "text": said.text}

    def _chat_delete(self, values: dict[str, Any]) -> dict[str, Any]:
        said = self._find(values["channel"], values["ts"])
        if said is None:
            return {"error": "message_not_found"}
        self.said.remove(said)
        return {"channel": said.channel, "ts": said.ts}

    def _chat_postEphemeral(self, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - Slack's name
        if refusal := self._refusal(values["channel"]):
            return refusal
        if values["user"] not in self.users:
            return {"error": "user_not_in_channel"}
        self._whisper(values["channel"], values["user"], values)
        return {"message_ts": f"1760000009.{len(self.whispered):06}"}

    def _whisper(self, channel: str, user: str, values: dict[str, Any]) -> None:
        self.whispered.append(Whispered(channel, user, values.get("text", ""), parsed(values.get("blocks"))))

    def _reactions_add(self, values: dict[str, Any]) -> dict[str, Any]:
        said = self._find(values["channel"], values["timestamp"])
        if said is None:
            return {"error": "message_not_found"}
        if values["name"] in said.reactions:
            return {"error": "already_reacted"}
        said.reactions.append(values["name"])
        return {}

    def _apps_connections_open(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"url": f"{self.url.replace('http', 'ws', 1)}/link?ticket={uuid.uuid4().hex}&app_id=A00"}

    def _respond(self, key: str, values: dict[str, Any]) -> Reply:
        """A `response_url`: docs.slack.dev/interactivity/handling-user-interaction, "Message responses".

        The words of a refusal are not documented.
        """
        said, person, used = self._response_urls.get(key, (None, "", []))
        if said is None or len(used) >= 5:
            return as_json({"ok": False, "error": "used_url"}, 404)
        used.append(1)
        self.responses.append((key, values))
        if values.get("delete_original"):
            self.said.remove(said)
        elif values.get("replace_original"):
            said.change(values)
        elif values.get("response_type") == "in_channel":
            self._add(said.channel, values)
        else:
            self._whisper(said.channel, person, values)
        return as_json({"ok": True})

    def _files_getUploadURLExternal(self, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - Slack's name
        key = f"F{len(self._uploads) + len(self.files):05}"
        return {"upload_url": f"{self.url}/upload/{key}", "file_id": key}

    def _files_completeUploadExternal(self, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - Slack's name
        if values["channel_id"] not in self.channels:
            return {"error": "invalid_channel"}
        if refusal := self._refusal(values["channel_id"]):
            return refusal
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
