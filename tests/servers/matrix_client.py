"""A person on a Matrix server, for tests: what they do, and what they see in a room.

Plain HTTP, so that nothing of the client library under test judges itself. Calls and events as in the specification:
https://spec.matrix.org/v1.15/client-server-api/ (edits: "Event replacements"; threads: "Threading"; reactions: "Event
annotations and reactions"; mentions: "User and room mentions"; files: "Content repository").
"""

from __future__ import annotations

import json
import re
import secrets
import urllib.request
from dataclasses import dataclass, field
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlencode

from demo.processes import open_url
from tests.waiting import until

WAIT_SECONDS = 60.0
_CLIENT = "/_matrix/client/v3"


class Refused(Exception):
    """The server said no: HTTP `status`, Matrix's `code` (`M_FORBIDDEN`), and the whole `answer`."""

    def __init__(self, status: int, answer: dict[str, Any]) -> None:
        super().__init__(f"{status} {answer}")
        self.status, self.answer = status, answer
        self.code = str(answer.get("errcode", ""))


def call(base: str, method: str, path: str, body: object = None, *, token: str = "", **query: str) -> dict[str, Any]:
    """One JSON call. `body` may be bytes, then `query` names their `content_type`. Raises Refused."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if isinstance(body, bytes):
        data: bytes | None = body
        headers["Content-Type"] = query.pop("content_type")
    else:
        data = None if body is None else json.dumps(body).encode()
    address = f"{base}{path}" + (f"?{urlencode(query)}" if query else "")
    try:
        with open_url(urllib.request.Request(address, data, headers, method=method), timeout=30) as answer:
            found: dict[str, Any] = json.loads(answer.read())
            return found
    except HTTPError as refusal:
        with refusal:
            raise Refused(refusal.code, json.loads(refusal.read())) from None


@dataclass
class Seen:
    """A message as a person's client would show it now; `event` is the raw first version, for golden files.

    `thread` is the id of the thread's root or "", `reply_to` the id answered to or "" (a thread's fallback does not
    count). `edits` are the raw later contents, oldest first; `text`, `html` and `mentions` are the newest version's.
    `reactions` maps each key to who put it there. `kind` is the `msgtype`, `url` the `mxc://` of a picture or file.
    """

    event: dict[str, Any]
    edits: list[dict[str, Any]] = field(default_factory=list)
    reactions: dict[str, list[str]] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return str(self.event["event_id"])

    @property
    def sender(self) -> str:
        return str(self.event["sender"])

    @property
    def content(self) -> dict[str, Any]:
        """The newest version; {} for what was taken back."""
        found: dict[str, Any] = self.edits[-1] if self.edits else self.event["content"]
        return found

    @property
    def text(self) -> str:
        return str(self.content.get("body", ""))

    @property
    def html(self) -> str:
        return str(self.content.get("formatted_body", ""))

    @property
    def kind(self) -> str:
        return str(self.content.get("msgtype", ""))

    @property
    def url(self) -> str:
        return str(self.content.get("url", ""))

    @property
    def mentions(self) -> list[str]:
        return list(self.content.get("m.mentions", {}).get("user_ids", []))

    @property
    def thread(self) -> str:
        relation = self.event["content"].get("m.relates_to", {})
        return str(relation["event_id"]) if relation.get("rel_type") == "m.thread" else ""

    @property
    def reply_to(self) -> str:
        relation = self.event["content"].get("m.relates_to", {})
        return "" if relation.get("is_falling_back") else str(relation.get("m.in_reply_to", {}).get("event_id", ""))


class MatrixPerson:
    """Somebody who is logged in: `id` is `@name:chat.test`. Every method raises Refused where the server says no."""

    def __init__(self, base: str, user_id: str, token: str) -> None:
        self.id, self.token = user_id, token
        self._base = base

    def api(self, method: str, path: str, body: object = None, **query: str) -> dict[str, Any]:
        """Any call as this person; a path that does not begin with `/_` is below `/_matrix/client/v3`."""
        whole = path if path.startswith("/_") else f"{_CLIENT}{path}"
        return call(self._base, method, whole, body, token=self.token, **query)

    # Rooms

    def create_room(
        self, alias: str = "", *, invite: tuple[str, ...] = (), direct: bool = False, name: str = ""
    ) -> str:
        """Make a room; its id. `alias` "ops" makes it `#ops:chat.test`; everybody may join unless it is `direct`.

        errbot-backend-matrix takes a room of two people without an alias for a direct conversation.
        """
        body: dict[str, Any] = {"invite": list(invite), "is_direct": direct}
        body["preset"] = "trusted_private_chat" if direct else "public_chat"
        if alias:
            body["room_alias_name"] = alias
        return str(self.api("POST", "/createRoom", body)["room_id"])

    def join(self, room: str) -> None:
        """Join by id or alias."""
        self.api("POST", f"/join/{quote(room)}", {})

    def leave(self, room: str) -> None:
        self.api("POST", f"/rooms/{quote(room)}/leave", {})

    def invite(self, room: str, user_id: str) -> None:
        self.api("POST", f"/rooms/{quote(room)}/invite", {"user_id": user_id})

    def kick(self, room: str, user_id: str) -> None:
        """What they send there afterwards is `M_FORBIDDEN`."""
        self.api("POST", f"/rooms/{quote(room)}/kick", {"user_id": user_id, "reason": "a test"})

    def set_level(self, room: str, user_id: str, level: int) -> None:
        """Set a person's power level; below 0 they are in the room and may not speak (`M_FORBIDDEN`)."""
        path = f"/rooms/{quote(room)}/state/m.room.power_levels/"
        levels = self.api("GET", path)
        self.api("PUT", path, {**levels, "users": {**levels.get("users", {}), user_id: level}})

    def members(self, room: str) -> set[str]:
        """Who is in a room, by id."""
        return set(self.api("GET", f"/rooms/{quote(room)}/joined_members")["joined"])

    def invitations(self) -> list[str]:
        """Ids of the rooms that somebody invited this person to: a bot's direct message begins with one."""
        return list(self.api("GET", "/sync", timeout="0").get("rooms", {}).get("invite", {}))

    def wait_for_member(self, room: str, user_id: str) -> None:
        """Wait until somebody has joined."""
        until(lambda: user_id in self.members(room), WAIT_SECONDS, lambda: f"{user_id} in {self.members(room)}")

    # Words

    def send(self, room: str, text: str, *, thread: str = "", reply_to: str = "", **more: Any) -> str:
        """Say something; the event's id. `thread` is the id of a root; `more` goes into the content as it is."""
        content: dict[str, Any] = {"msgtype": "m.text", "body": text, **more}
        answered = {"m.in_reply_to": {"event_id": reply_to or thread}}
        if thread:
            thread_of = {"rel_type": "m.thread", "event_id": thread, "is_falling_back": not reply_to}
            content["m.relates_to"] = {**thread_of, **answered}
        elif reply_to:
            content["m.relates_to"] = answered
        return self.send_event(room, "m.room.message", content)

    def edit(self, room: str, event_id: str, text: str) -> str:
        """Replace the words of one's own message."""
        new = {"msgtype": "m.text", "body": text}
        relation = {"rel_type": "m.replace", "event_id": event_id}
        return self.send(room, f"* {text}", **{"m.new_content": new, "m.relates_to": relation})

    def react(self, room: str, event_id: str, key: str) -> str:
        """Put an emoji under a message; the reaction's own id, for `redact`."""
        relation = {"rel_type": "m.annotation", "event_id": event_id, "key": key}
        return self.send_event(room, "m.reaction", {"m.relates_to": relation})

    def redact(self, room: str, event_id: str) -> None:
        """Take a message or a reaction back."""
        self.api("PUT", f"/rooms/{quote(room)}/redact/{quote(event_id)}/{secrets.token_hex(8)}", {})

    def send_event(self, room: str, kind: str, content: dict[str, Any]) -> str:
        """Send any event; its id."""
        path = f"/rooms/{quote(room)}/send/{kind}/{secrets.token_hex(8)}"
        return str(self.api("PUT", path, content)["event_id"])

    def download(self, url: str) -> bytes:
        """What is behind an `mxc://` address."""
        address = f"{self._base}/_matrix/client/v1/media/download/{url.removeprefix('mxc://')}"
        asked = urllib.request.Request(address, headers={"Authorization": f"Bearer {self.token}"})
        with open_url(asked, timeout=30) as answer:
            return bytes(answer.read())

    # What is there

    def timeline(self, room: str) -> list[dict[str, Any]]:
        """Every event of a room as it is on the wire, oldest first."""
        path, events, since = f"/rooms/{quote(room)}/messages", [], {}
        while True:
            page = self.api("GET", path, dir="b", limit="500", **since)
            events += page["chunk"]
            if not page["chunk"] or "end" not in page:
                return events[::-1]
            since = {"from": page["end"]}

    def read(self, room: str) -> list[Seen]:
        """The messages of a room, oldest first, with their edits and reactions applied."""
        seen: dict[str, Seen] = {}
        for event in self.timeline(room):
            content = event["content"]
            relation = content.get("m.relates_to", {})
            target = seen.get(relation.get("event_id", ""))
            if event["type"] == "m.reaction" and target and "key" in relation:
                target.reactions.setdefault(relation["key"], []).append(event["sender"])
            elif event["type"] == "m.room.message" and relation.get("rel_type") == "m.replace":
                if target and target.sender == event["sender"]:  # an edit by somebody else does not count
                    target.edits.append(content["m.new_content"])
            elif event["type"] == "m.room.message":
                seen[event["event_id"]] = Seen(event)
        return list(seen.values())

    def wait_for(self, room: str, pattern: str, *, sender: str = "", thread: str | None = None) -> Seen:
        """The first message whose words match (by `sender` and in this `thread`, "" for none, where given), waiting."""
        wanted = re.compile(pattern)

        def found() -> Seen | None:
            return next(
                (
                    each
                    for each in self.read(room)
                    if wanted.search(each.text) and sender in ("", each.sender) and thread in (None, each.thread)
                ),
                None,
            )

        return until(found, WAIT_SECONDS, lambda: f"{pattern!r} in {[each.text for each in self.read(room)]}", 0.1)
