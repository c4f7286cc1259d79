"""A stand-in for Mattermost: REST v4 and its websocket, as far as err-backend-mattermost and its driver use them.

Paths and fields: Mattermost's API reference (developers.mattermost.com/api-documentation). What that does not say comes
from the server's source (github.com/mattermost/mattermost, under server/), named beside each shape.
"""

from __future__ import annotations

import json
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request as Asking

from demo.processes import open_url
from tests.fakes.http_server import Reply, Request, as_json
from tests.fakes.mattermost_team import BOT, OPS, TEAM, TEAM_NAME, Channel, MattermostTeam, Post, Refused, mm_id
from tests.fakes.network_server import Call, NetworkServer, route
from tests.fakes.websocket import WebSocket, upgrade

TOKEN = "mattermost-token"
_ERRORS = {
    400: "api.context.invalid_body_param.app_error",
    401: "api.context.session_expired.app_error",
    403: "api.context.permissions.app_error",
    404: "store.sql_channel.get.existing.app_error",
}


@dataclass(frozen=True)
class Clicked:
    """What came of a click: what the server answers to the person's app, and what the integration had answered."""

    status: int
    answer: dict[str, Any]


class MattermostServer(NetworkServer):
    """`team` holds everything. Calls are named "POST /posts": the path without /api/v4."""

    def __init__(self, certificate: Path | None = None) -> None:
        """`certificate`: a PEM file with key and certificate, for https."""
        tls = None
        if certificate is not None:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate)
        super().__init__(tls)
        self.team = MattermostTeam(self._publish)
        self.may_whisper = False
        self.ephemeral: list[tuple[str, str]] = []  # who sees it, text
        self.clicks: list[dict[str, Any]] = []  # what was sent to the integrations
        self._numbers: dict[WebSocket, int] = {}  # of the next event
        self._routes = self._all_routes()

    def in_channel(self, channel: str = OPS) -> list[Post]:
        """What the bot posted into a channel, oldest first."""
        return [post for post in list(self.team.posts) if post.channel == channel and post.user == BOT]

    def direct(self, person: str) -> str:
        """The id of the direct channel between a person and the bot."""
        return self.team.direct(BOT, person).id

    def say(self, person: str, text: str, channel: str = OPS, root: str = "") -> Post:
        """Somebody types into a channel, or into a thread."""
        with self._guard:
            return self.team.add(person, channel, text, root)

    def react(self, person: str, emoji: str, post_id: str) -> None:
        """Somebody puts a reaction (by its name, without colons) under a post."""
        with self._guard:
            self.team.react(person, post_id, emoji)

    def click(self, person: str, post_id: str, action: str, option: str = "", timeout: float = 30.0) -> Clicked:
        """Somebody clicks a button: the server asks the button's URL, and changes the post as the answer says.

        `option` is the value that was taken from a menu.
        channels/app/integration_action.go, DoPostActionWithCookie; public/model/integration_action.go.
        """
        post = self.team.post(post_id)
        found = post.actions.get(action)
        # The route takes letters and digits only (channels/api4/integration_action.go): an "a_b" cannot be clicked.
        if found is None or "integration" not in found or not re.fullmatch("[A-Za-z0-9]+", action):
            return Clicked(404, {})
        channel = self.team.channels[post.channel]
        team_id, team_name = ("", "") if channel.type == "D" else (TEAM, TEAM_NAME)
        asked = {
            "user_id": person,
            "user_name": self.team.people[person],
            "channel_id": post.channel,
            "channel_name": channel.name,
            "team_id": team_id,
            "team_domain": team_name,
            "post_id": post_id,
            "trigger_id": "dHJpZ2dlcg==",
            "type": found.get("type", ""),
            "data_source": "",
            "context": {**found["integration"].get("context", {}), **({"selected_option": option} if option else {})},
        }
        self.clicks.append(asked)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        request = Asking(found["integration"]["url"], json.dumps(asked).encode(), headers)
        try:
            with open_url(request, timeout=timeout) as got:
                status, body = got.status, got.read()
            answer: dict[str, Any] = json.loads(body) if body else {}
        except HTTPError as refused:
            refused.close()
            return Clicked(400, {})
        except (OSError, ValueError):  # nobody there, or no JSON
            return Clicked(400, {})
        if status != 200:
            return Clicked(400, answer)
        with self._guard:
            if update := answer.get("update"):
                self.team.change(post, update.get("message", ""), update.get("props"))
            if answer.get("ephemeral_text"):
                self.ephemeral.append((person, answer["ephemeral_text"]))
        return Clicked(200, answer)

    def refusal(self, status: int, *, retry_after: int = 1, error: str = "") -> Reply:
        """`retry_after`: seconds, of a 429, whose words are plain text (channels/app/ratelimit.go)."""
        if status == 429:
            limits = {"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(retry_after)}
            plain = {"Content-Type": "text/plain; charset=utf-8", "Retry-After": str(retry_after)}
            return Reply(429, b"limit exceeded\n", {**limits, **plain})
        # public/model/utils.go, AppError
        error = error or _ERRORS.get(status, "api.context.server_error.app_error")
        said = {"id": error, "message": f"Refused: {error}", "detailed_error": "", "status_code": status}
        return as_json({**said, "request_id": mm_id("request")}, status)

    def name_of(self, request: Request) -> str:
        return f"{request.method} {request.path.removeprefix('/api/v4')}"

    def carry_out(self, call: Call, request: Request) -> Reply:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return self.refusal(401)
        method, _, path = call.name.partition(" ")
        for wanted, pattern, handler in self._routes:
            if wanted == method and (match := pattern.match(path)):
                try:
                    return as_json(handler(call, *match.groups()), 201 if method == "POST" else 200)
                except Refused as reason:
                    return self.refusal(reason.status, error=reason.error)
        return self.refusal(404, error="api.context.404.app_error")

    def socket_for(self, request: Request) -> Reply | None:
        return upgrade(request, self._talk) if request.path == "/api/v4/websocket" else None

    def _talk(self, client: WebSocket) -> None:
        """channels/app/platform/web_conn.go, createHelloMessage; to the driver, an answer before it is a failure."""
        asked = client.receive()
        if asked.get("action") != "authentication_challenge" or asked["data"]["token"] != TOKEN:
            return
        hello = {"server_version": "10.11.0.0", "connection_id": mm_id("connection")}
        self._tell(client, "hello", hello, user_id=BOT)
        client.send({"status": "OK", "seq_reply": asked["seq"]})
        with self.listed(client):
            while True:
                client.receive()

    def _tell(self, client: WebSocket, event: str, data: dict[str, Any], **broadcast: str) -> None:
        """public/model/websocket_message.go, webSocketEventJSON; numbered per connection, from 0."""
        where = {"omit_users": None, "user_id": "", "channel_id": "", "team_id": "", "connection_id": "", **broadcast}
        number = self._numbers.get(client, 0)
        self._numbers[client] = number + 1
        client.send({"event": event, "data": data, "broadcast": where, "seq": number})

    def _publish(self, event: str, channel: Channel, data: dict[str, Any]) -> None:
        if BOT in channel.members:
            for client in self.sockets:
                self._tell(client, event, data, channel_id=channel.id)

    def _all_routes(self) -> list[Any]:
        team = self.team
        return [
            route("GET", "/users/me", lambda _: team.user(BOT)),
            route("GET", "/users/username/{}", lambda _, name: team.user(name)),
            route("GET", "/users/{}", lambda _, key: team.user(key)),
            route("POST", "/users/logout", lambda _: {"status": "OK"}),
            route("GET", "/teams/name/{}", self._team),
            route("GET", "/teams/{}/channels", lambda call, _: [] if call.values.get("page") != "0" else self._open()),
            route("GET", "/teams/{}/channels/name/{}", lambda _, _team, name: team.channel(name).shown()),
            route("GET", "/users/{}/teams/{}/channels", lambda *_: self._joined()),
            route("GET", "/channels/{}", lambda _, key: team.channel(key).shown()),
            route("POST", "/channels/direct", lambda call: team.direct(*call.values[""]).shown()),
            route("POST", "/channels/{}/members", self._join),
            route("GET", "/posts/{}", lambda _, key: team.post(key).shown()),
            route("POST", "/posts", self._create_post),
            route("POST", "/posts/ephemeral", self._create_ephemeral_post),
            route("PUT", "/posts/{}/patch", self._patch_post),
            route(
                "POST", "/reactions", lambda call: team.react(BOT, call.values["post_id"], call.values["emoji_name"])
            ),
            route("POST", "/files", self._upload),
        ]

    def _team(self, _: Call, name: str) -> dict[str, Any]:
        if name != TEAM_NAME:
            raise Refused(404, "app.team.get_by_name.missing.app_error")
        return {"id": TEAM, "name": TEAM_NAME, "display_name": "Acme", "type": "O"}

    def _open(self) -> list[dict[str, Any]]:
        return [channel.shown() for channel in self.team.channels.values() if channel.type == "O"]

    def _joined(self) -> list[dict[str, Any]]:
        return [channel.shown() for channel in self.team.channels.values() if BOT in channel.members]

    def _join(self, call: Call, key: str) -> dict[str, Any]:
        self.team.channel(key).members.add(call.values["user_id"])
        return {"channel_id": key, "user_id": call.values["user_id"], "roles": "channel_user"}

    def _create_post(self, call: Call) -> dict[str, Any]:
        asked = call.values
        # channels/app/post.go, deduplicateCreatePost
        if (pending := asked.get("pending_post_id")) and pending in self.team.pending:
            return self.team.pending[pending].shown()
        text, root, files = asked.get("message") or "", asked.get("root_id") or "", asked.get("file_ids") or []
        self.team.check_post(asked["channel_id"], text, root, files)
        props = asked.get("props") or {}
        post = self.team.add(BOT, asked["channel_id"], text, root, tuple(files), props)
        if pending:
            self.team.pending[pending] = post
        return post.shown()

    def _create_ephemeral_post(self, call: Call) -> dict[str, Any]:
        """channels/api4/post.go, createEphemeralPost: most bots lack the permission create_post_ephemeral."""
        if not self.may_whisper:
            raise Refused(403, "api.context.permissions.app_error")
        self.ephemeral.append((call.values["user_id"], call.values["post"]["message"]))
        return {"id": mm_id("ephemeral"), **call.values["post"]}

    def _patch_post(self, call: Call, key: str) -> dict[str, Any]:
        post = self.team.post(key)
        if post.user != BOT:
            raise Refused(403, "api.context.permissions.app_error")
        return self.team.change(post, call.values.get("message"), call.values.get("props")).shown()

    def _add_reaction(self, call: Call) -> dict[str, Any]:
        return self.team.react(BOT, call.values["post_id"], call.values["emoji_name"])

    def _upload(self, call: Call) -> dict[str, Any]:
        self.team.channel(call.values["channel_id"])
        infos = []
        for upload in call.files.values():
            key = mm_id(f"file{len(self.team.files) + 1}x")
            self.team.files[key] = upload
            infos.append({"id": key, "name": upload.name, "mime_type": upload.type, "size": len(upload.content)})
        return {"file_infos": infos, "client_ids": []}
