"""A stand-in for Discord: REST and gateway, as far as discord.py 2.0.1 and err-backend-discord 4.0.0 use them.

Paths, opcodes and answers: docs.discord.com/developers (topics/gateway, events/gateway-events, topics/rate-limits,
interactions/receiving-and-responding).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.fakes.discord_guild import (
    ANN,
    APPLICATION,
    BOT,
    GUILD,
    OPS,
    PEOPLE,
    Channel,
    DiscordGuild,
    Refused,
    Sent,
    application_shown,
    check_message,
    member_shown,
    person_shown,
)
from tests.fakes.http_server import Reply, Request, as_json
from tests.fakes.network_server import Call, NetworkServer, route
from tests.fakes.websocket import WebSocket, upgrade

TOKEN = "discord-token"
_MEMBERS, _REACTIONS, _MESSAGE_CONTENT = 1 << 1, 1 << 10, 1 << 15  # intents
_CODES = {403: (50013, "Missing Permissions"), 404: (10003, "Unknown Channel"), 401: (0, "401: Unauthorized")}
_EPHEMERAL = 64


@dataclass
class Interaction:
    """A click: `answer` is what the bot said to it ({"type", "data"}), None so far."""

    id: int
    person: int
    message: Sent
    at: float
    answer: dict[str, Any] | None = None
    followups: list[dict[str, Any]] = field(default_factory=list)

    @property
    def token(self) -> str:
        return f"interaction-{self.id}"

    @property
    def ephemeral(self) -> str | None:
        """What only the person who clicked sees."""
        data = (self.answer or {}).get("data") or {}
        return data.get("content") if data.get("flags", 0) & _EPHEMERAL else None


class DiscordServer(NetworkServer):
    """`guild` holds everything. Calls are named "POST /channels/1/messages": the path without /api/v10.

    `answer_seconds`: how long the bot has to answer a click (Discord: 3); None: for ever.
    """

    def __init__(self) -> None:
        super().__init__()
        self.guild = DiscordGuild(self._publish)
        self.intents = 0
        self.answer_seconds: float | None = None
        self.interactions: list[Interaction] = []
        self.session = 0  # how many the bot has begun: a resumed one is not new
        self._events: list[dict[str, Any]] = []  # of the session
        self._routes = self._all_routes()

    @property
    def api(self) -> str:
        """For discord.http.Route.BASE."""
        return f"{self.url}/api/v10"

    @property
    def gateway(self) -> str:
        """For DiscordWebSocket.DEFAULT_GATEWAY."""
        return f"ws{self.url.removeprefix('http')}/gateway"

    def in_channel(self, channel: int = OPS) -> list[Sent]:
        """What the bot said in a channel or thread, oldest first."""
        return [sent for sent in list(self.guild.sent) if sent.channel == channel and sent.author == BOT]

    def direct(self, person: int) -> int:
        """The id of the direct channel between a person and the bot."""
        return self.guild.direct(person).id

    def say(self, person: int, text: str, channel: int = OPS, **more: Any) -> Sent:
        """Somebody types into a channel; `embeds=[...]` for what Discord makes of links."""
        with self._guard:
            return self.guild.add(person, channel, {"content": text, **more})

    def react(self, person: int, emoji: str, sent: Sent) -> None:
        """Somebody puts a reaction (the character) under a message."""
        with self._guard:
            self.guild.react(person, sent, emoji)

    def click(self, person: int, sent: Sent, custom_id: str, choice: str = "") -> Interaction:
        """Somebody clicks a button, or picks from a menu; wait for `answer` of what this returns."""
        with self._guard:
            click = Interaction(1440000000000000000 + len(self.interactions), person, sent, time.monotonic())
            self.interactions.append(click)
            payload = {"id": str(click.id), "application_id": str(APPLICATION), "type": 3, "token": click.token}
            payload |= {"version": 1, "channel_id": str(sent.channel), "message": self.guild.shown(sent)}
            payload |= {
                "data": {"custom_id": custom_id, "component_type": 3, "values": [choice]}
                if choice
                else {"custom_id": custom_id, "component_type": 2},
                "locale": "en-US",
                "app_permissions": "0",
            }
            if self.guild.channels[sent.channel].person:
                payload["user"] = person_shown(person)
            else:
                payload |= {"guild_id": str(GUILD), "member": {**member_shown(person), "permissions": "0"}}
            self._publish("INTERACTION_CREATE", payload)
        return click

    def forget_session(self) -> None:
        """A client that resumes is told to begin anew, with its missed events lost."""
        self._events, self.session = [], self.session + 1

    def refusal(self, status: int, *, retry_after: float = 1.0, code: int = 0, words: str = "") -> Reply:
        """`retry_after`: seconds, of a 429 (which discord.py believes only with a Via header)."""
        if status == 429:
            said = {"message": "You are being rate limited.", "retry_after": retry_after, "global": False}
            more = {"Via": "1.1 google", "Retry-After": str(int(retry_after) + 1), "X_RateLimit_Scope": "user"}
            return as_json(said, 429, **more)
        usual = _CODES.get(status, (0, "Internal Server Error"))
        return as_json({"code": code or usual[0], "message": words or usual[1]}, status)

    def name_of(self, request: Request) -> str:
        return f"{request.method} {request.path.removeprefix('/api/v10')}"

    def carry_out(self, call: Call, request: Request) -> Reply:
        method, _, path = call.name.partition(" ")
        by_token = path.startswith(("/interactions/", "/webhooks/"))
        if request.headers.get("authorization") != f"Bot {TOKEN}" and not by_token:
            return self.refusal(401)
        for wanted, pattern, handler in self._routes:
            if wanted == method and (match := pattern.match(path)):
                try:
                    answer = handler(call, *match.groups())
                except Refused as reason:
                    return self.refusal(reason.status, code=reason.code, words=reason.words)
                return Reply(204) if answer is None else as_json(answer)
        return self.refusal(404, words="404: Not Found")

    def socket_for(self, request: Request) -> Reply | None:
        return upgrade(request, self._talk) if request.path == "/gateway" else None

    def _talk(self, client: WebSocket) -> None:
        client.send({"op": 10, "d": {"heartbeat_interval": 41250}, "s": None, "t": None})
        while True:
            asked = client.receive()
            op, data = asked["op"], asked.get("d")
            if op == 1:
                client.send({"op": 11})
            elif op in (2, 6) and data["token"] != TOKEN:
                client.close(4004)
                return
            elif op == 6 and data["session_id"] != f"session-{self.session}":
                client.send({"op": 9, "d": False})
            elif op in (2, 6):
                self._begin(client, data) if op == 2 else self._resume(client, data["seq"])
                with self.listed(client):
                    self._serve(client)

    def _serve(self, client: WebSocket) -> None:
        """After READY, until the connection ends."""
        while True:
            asked = client.receive()
            if asked["op"] == 1:
                client.send({"op": 11})
            elif asked["op"] == 8:
                members = [member_shown(key) for key in PEOPLE]
                chunk = {"guild_id": str(GUILD), "members": members, "chunk_index": 0, "chunk_count": 1}
                self._dispatch(client, "GUILD_MEMBERS_CHUNK", {**chunk, "nonce": asked["d"].get("nonce")})

    def _begin(self, client: WebSocket, data: dict[str, Any]) -> None:
        with self._guard:
            self.forget_session()
            self.intents = data["intents"]
            begun = {"v": 10, "user": person_shown(BOT), "guilds": [{"id": str(GUILD), "unavailable": True}]}
            begun |= {"session_id": f"session-{self.session}", "resume_gateway_url": self.gateway}
            self._dispatch(client, "READY", {**begun, "application": {"id": str(APPLICATION), "flags": 0}})
            everyone = {"id": str(GUILD), "name": "@everyone", "permissions": "8", "position": 0, "color": 0}
            everyone |= {"hoist": False, "managed": False, "mentionable": False}
            who = PEOPLE if self.intents & _MEMBERS else [BOT]
            channels = [each for each in self.guild.channels.values() if each.readable and not each.person]
            guild = {"id": str(GUILD), "name": "Acme", "owner_id": str(ANN), "roles": [everyone], "emojis": []}
            guild |= {"member_count": len(PEOPLE), "members": [member_shown(key) for key in who], "large": False}
            guild |= {"channels": [each.shown() for each in channels if not each.parent], "presences": []}
            guild |= {"threads": [each.shown() for each in channels if each.parent], "unavailable": False}
            self._dispatch(client, "GUILD_CREATE", guild)

    def _resume(self, client: WebSocket, last: int) -> None:
        with self._guard:
            for event in self._events[last:]:
                client.send(event)
            self._dispatch(client, "RESUMED", {})

    def _dispatch(self, client: WebSocket | None, event: str, data: dict[str, Any]) -> None:
        """Number an event, keep it for a client that resumes, and send it."""
        with self._guard:
            self._events.append({"op": 0, "t": event, "d": data, "s": len(self._events) + 1})
            for each in [client] if client else self.sockets:
                each.send(self._events[-1])

    def _publish(self, event: str, data: dict[str, Any]) -> None:
        """What the bot may receive, by its intents."""
        if event == "MESSAGE_REACTION_ADD" and not self.intents & _REACTIONS:
            return
        if event.startswith("MESSAGE_") and "author" in data and "guild_id" in data:
            named = any(each["id"] == str(BOT) for each in data["mentions"])
            if not (self.intents & _MESSAGE_CONTENT or named or data["author"]["id"] == str(BOT)):
                data = {**data, "content": "", "embeds": [], "attachments": [], "components": []}
        self._dispatch(None, event, data)

    def _all_routes(self) -> list[Any]:
        one = "/channels/{}/messages/{}"
        return [
            route("GET", "/users/@me", lambda _: person_shown(BOT)),
            route("GET", "/oauth2/applications/@me", lambda _: application_shown()),
            route("POST", "/users/@me/channels", lambda call: self._direct(call).shown()),
            route("GET", "/channels/{}", lambda _, key: self.guild.channel(int(key)).shown()),
            route("PATCH", "/channels/{}", self._change_channel),
            route("POST", "/channels/{}/typing", lambda *_: None),
            route("POST", "/channels/{}/messages", self._create),
            route("GET", one, lambda _, channel, key: self.guild.shown(self._message(channel, key))),
            route("PATCH", one, self._change),
            route("POST", one + "/threads", self._start_thread),
            route("PUT", one + "/reactions/{}/@me", self._react),
            route("POST", "/interactions/{}/{}/callback", self._answer_click),
            route("POST", "/webhooks/{}/{}", self._follow_up),
            route("PATCH", "/webhooks/{}/{}/messages/@original", self._change_clicked),
        ]

    def _message(self, channel: str, key: str) -> Sent:
        return self.guild.message(int(channel), int(key))

    def _direct(self, call: Call) -> Channel:
        return self.guild.direct(int(call.values["recipient_id"]))

    def _change_channel(self, call: Call, key: str) -> dict[str, Any]:
        channel = self.guild.channel(int(key))
        channel.archived = call.values.get("archived", channel.archived)
        channel.name = call.values.get("name", channel.name)
        return channel.shown()

    def _create(self, call: Call, key: str) -> dict[str, Any]:
        channel = self.guild.channel(int(key))
        check_message(call.values, call.files)
        channel.archived = False  # a message brings a thread back
        return self.guild.shown(self.guild.add_once(BOT, channel.id, call.values, call.files))

    def _change(self, call: Call, channel: str, key: str) -> dict[str, Any]:
        sent = self._message(channel, key)
        if sent.author != BOT:
            raise Refused(403, 50005, "Cannot edit a message authored by another user")
        check_message({**sent.now, **call.values}, {**sent.files, **call.files})
        return self.guild.shown(self.guild.change(sent, call.values))

    def _start_thread(self, call: Call, channel: str, key: str) -> dict[str, Any]:
        return self.guild.start_thread(self._message(channel, key), call.values["name"]).shown()

    def _react(self, _: Call, channel: str, key: str, emoji: str) -> None:
        self.guild.react(BOT, self._message(channel, key), unquote(emoji))

    def _clicked(self, token: str) -> Interaction:
        for click in self.interactions:
            if click.token == token:
                return click
        raise Refused(404, 10062, "Unknown interaction")

    def _answer_click(self, call: Call, _: str, token: str) -> None:
        """Types: 4 a message, 5 later, 6 a change later, 7 a change now."""
        click = self._clicked(token)
        if self.answer_seconds is not None and time.monotonic() > click.at + self.answer_seconds:
            raise Refused(404, 10062, "Unknown interaction")
        if click.answer is not None:
            raise Refused(400, 40060, "Interaction has already been acknowledged.")
        click.answer = {"type": call.values["type"], "data": call.values.get("data") or {}}
        if call.values["type"] == 7:
            self.guild.change(click.message, click.answer["data"])

    def _follow_up(self, call: Call, _: str, token: str) -> dict[str, Any]:
        click = self._clicked(token)
        click.followups.append(call.values)
        return self.guild.shown(Sent(click.id, click.message.channel, BOT, [call.values]))

    def _change_clicked(self, call: Call, _: str, token: str) -> dict[str, Any]:
        return self.guild.shown(self.guild.change(self._clicked(token).message, call.values))
