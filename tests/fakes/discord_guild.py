"""What a Discord guild holds, for its stand-in: people, channels, messages; and what Discord refuses by itself.

Objects, limits and codes: docs.discord.com/developers (resources/message, resources/channel, components/reference,
topics/opcodes-and-status-codes). Ids of accounts made since 2022 have 19 digits, older ones 18.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.network_server import Upload

GUILD, APPLICATION = 200000000000000001, 300000000000000001
BOT, ANN, BOB = 300000000000000001, 400000000000000001, 400000000000000002
CAROL = 1400000000000000003  # an account of today
OPS, WEB, QUIET = 500000000000000001, 1500000000000000002, 500000000000000003
PEOPLE = {BOT: "sentrybot", ANN: "ann", BOB: "bob", CAROL: "carol"}
_FIRST_MESSAGE = 1430000000000000000
_TEXT, _DIRECT, _PUBLIC_THREAD = 0, 1, 11
TEXT_LIMIT = 2000
_EMBED_LIMITS = {"title": 256, "description": 4096}
_EMBED_TOTAL, _EMBED_FIELDS, _FIELD_NAME, _FIELD_VALUE, _CUSTOM_ID = 6000, 25, 256, 1024, 100
_NONCE = 25
_MENU = 3


class Refused(Exception):
    """Discord says no: an HTTP status, and its own code and words."""

    def __init__(self, status: int, code: int, words: str) -> None:
        super().__init__(words)
        self.status, self.code, self.words = status, code, words


@dataclass
class Channel:
    """`kind` is a text channel, a direct one, or a thread (whose id is its first message's)."""

    id: int
    name: str
    kind: int = _TEXT
    parent: int = 0
    person: int = 0  # of a direct channel
    readable: bool = True  # False: the bot lacks access
    archived: bool = False

    def shown(self) -> dict[str, Any]:
        """The channel object."""
        said: dict[str, Any] = {"id": str(self.id), "type": self.kind, "last_message_id": None}
        if self.kind == _DIRECT:
            return {**said, "recipients": [person_shown(self.person)]}
        said |= {"guild_id": str(GUILD), "name": self.name, "position": 0, "permission_overwrites": [], "topic": None}
        if self.kind == _PUBLIC_THREAD:
            when = {"archive_timestamp": "2026-01-01T00:00:00+00:00", "auto_archive_duration": 1440, "locked": False}
            said |= {"parent_id": str(self.parent), "owner_id": str(BOT), "message_count": 0, "member_count": 1}
            said["thread_metadata"] = {"archived": self.archived, **when}
        return said


@dataclass
class Sent:
    """A message as it stands now; `versions` is what was asked for each version: content, embeds, components."""

    id: int
    channel: int
    author: int
    versions: list[dict[str, Any]]
    files: dict[str, Upload] = field(default_factory=dict)
    reactions: list[tuple[int, str]] = field(default_factory=list)  # who, emoji

    @property
    def now(self) -> dict[str, Any]:
        """The message's fields after all changes."""
        whole: dict[str, Any] = {}
        for version in self.versions:
            whole |= version
        return whole

    @property
    def text(self) -> str:
        return self.now.get("content") or ""

    @property
    def embeds(self) -> list[dict[str, Any]]:
        return self.now.get("embeds") or []

    @property
    def buttons(self) -> dict[str, str]:
        """Labels of the buttons to their custom ids (of links: their address)."""
        rows = self.now.get("components") or []
        return {
            each.get("label", ""): each.get("custom_id") or each["url"] for row in rows for each in row["components"]
        }


def person_shown(key: int) -> dict[str, Any]:
    """The user object; people have the discriminator 0 since 2023, bots keep theirs."""
    said = {"id": str(key), "username": PEOPLE[key], "global_name": None, "avatar": None, "bot": key == BOT}
    return {**said, "discriminator": "1234" if key == BOT else "0"}


def member_shown(key: int) -> dict[str, Any]:
    """The guild member object."""
    rest = {"roles": [], "joined_at": "2024-01-01T00:00:00+00:00", "deaf": False, "mute": False, "flags": 0}
    return {"user": person_shown(key), "nick": None, **rest}


def application_shown() -> dict[str, Any]:
    """The application object."""
    said = {"id": str(APPLICATION), "name": "sentrybot", "description": "", "icon": None, "summary": "", "flags": 0}
    keys = {"bot_public": True, "bot_require_code_grant": False, "verify_key": ""}
    return {**said, **keys, "owner": person_shown(ANN), "team": None}


class DiscordGuild:
    """One guild. State is public. `publish(event, data)` is called with what happens."""

    def __init__(self, publish: Callable[[str, dict[str, Any]], None]) -> None:
        self._publish = publish
        named = {OPS: "ops", WEB: "web", QUIET: "quiet"}
        self.channels = {key: Channel(key, name) for key, name in named.items()}
        self.channels[QUIET].readable = False
        self.sent: list[Sent] = []
        self._by_nonce: dict[tuple[int, str], Sent] = {}

    def channel(self, key: int) -> Channel:
        """A channel that the bot may use. Raises Refused."""
        channel = self.channels.get(key)
        if channel is None:
            raise Refused(404, 10003, "Unknown Channel")
        if not channel.readable:
            raise Refused(403, 50001, "Missing Access")
        return channel

    def message(self, channel: int, key: int) -> Sent:
        """A message by its ids. Raises Refused."""
        self.channel(channel)
        for sent in self.sent:
            if (sent.channel, sent.id) == (channel, key):
                return sent
        raise Refused(404, 10008, "Unknown Message")

    def direct(self, person: int) -> Channel:
        """The direct channel with a person; made where there is none. Its id is made of the person's."""
        key = 600000000000000000 + person % 1000
        return self.channels.setdefault(key, Channel(key, "", _DIRECT, person=person))

    def add(self, author: int, channel: int, values: dict[str, Any], files: dict[str, Upload] | None = None) -> Sent:
        """A new message; its author's client gets it too."""
        sent = Sent(_FIRST_MESSAGE + len(self.sent), channel, author, [_kept(values)], files or {})
        self.sent.append(sent)
        self._publish("MESSAGE_CREATE", self.shown(sent, event=True))
        return sent

    def add_once(self, author: int, channel: int, values: dict[str, Any], files: dict[str, Upload]) -> Sent:
        """A new message, or the one of the same nonce where that is enforced (resources/message#create-message)."""
        nonce = str(values.get("nonce", "")) if values.get("enforce_nonce") else ""
        if len(nonce) > _NONCE:
            raise Refused(400, 50035, f"Invalid Form Body: nonce: Must be {_NONCE} or fewer in length.")
        known = self._by_nonce.get((channel, nonce)) if nonce else None
        if known is None:
            known = self.add(author, channel, values, files)
            self._by_nonce[channel, nonce] = known
        return known

    def change(self, sent: Sent, values: dict[str, Any]) -> Sent:
        """A new version; what is not named stays."""
        sent.versions.append(_kept(values))
        self._publish("MESSAGE_UPDATE", self.shown(sent, event=True))
        return sent

    def react(self, person: int, sent: Sent, emoji: str) -> None:
        """A reaction, and its event."""
        sent.reactions.append((person, emoji))
        payload = {"user_id": str(person), "channel_id": str(sent.channel), "message_id": str(sent.id)}
        payload |= {"emoji": {"id": None, "name": emoji}}
        if self.channels[sent.channel].kind != _DIRECT:
            payload |= {"guild_id": str(GUILD), "member": member_shown(person)}
        self._publish("MESSAGE_REACTION_ADD", payload)

    def start_thread(self, sent: Sent, name: str) -> Channel:
        """A thread on a message. Raises Refused."""
        if sent.id in self.channels:
            raise Refused(400, 160004, "A thread has already been created for this message")
        if not 1 <= len(name) <= 100:
            raise Refused(400, 50035, "Invalid Form Body: name: Must be between 1 and 100 in length.")
        thread = self.channels[sent.id] = Channel(sent.id, name, _PUBLIC_THREAD, parent=sent.channel)
        self._publish("THREAD_CREATE", {**thread.shown(), "newly_created": True})
        return thread

    def shown(self, sent: Sent, event: bool = False) -> dict[str, Any]:
        """The message object; in events with its guild and member."""
        now, author = sent.now, person_shown(sent.author)
        attached = [
            {"id": str(sent.id + at), "filename": file.name, "size": len(file.content), "url": "", "proxy_url": ""}
            for at, file in enumerate(sent.files.values())
        ]
        said = {
            "id": str(sent.id),
            "channel_id": str(sent.channel),
            "type": 0,
            "content": sent.text,
            "author": author,
            "timestamp": "2026-01-01T00:00:00+00:00",
            "edited_timestamp": "2026-01-01T00:00:01+00:00" if len(sent.versions) > 1 else None,
            "tts": False,
            "mention_everyone": False,
            "mentions": [person_shown(key) for key in PEOPLE if f"<@{key}>" in sent.text],
            "mention_roles": [],
            "attachments": attached,
            "embeds": [{"type": "rich", **embed} for embed in sent.embeds],
            "components": now.get("components") or [],
            "pinned": False,
            "flags": 0,
        }
        if event and self.channels[sent.channel].kind != _DIRECT:
            member = {name: value for name, value in member_shown(sent.author).items() if name != "user"}
            said |= {"guild_id": str(GUILD), "member": member}
        return said


def check_message(values: dict[str, Any], files: dict[str, Upload]) -> None:
    """What Discord takes as a message. Raises Refused."""
    text, embeds, rows = values.get("content") or "", values.get("embeds") or [], values.get("components") or []
    if not (text or embeds or rows or files):
        raise Refused(400, 50006, "Cannot send an empty message")
    _at_most(len(text), TEXT_LIMIT, "content")
    _at_most(len(embeds), 10, "embeds")
    _at_most(sum(_check_embed(embed) for embed in embeds), _EMBED_TOTAL, "embeds")
    _at_most(len(rows), 5, "components")
    ids = [each["custom_id"] for row in rows for each in row["components"] if "custom_id" in each]
    if len(set(ids)) < len(ids):
        raise Refused(400, 50035, "Invalid Form Body: Component custom id cannot be duplicated")
    for row in rows:
        menus = [each for each in row["components"] if each["type"] == _MENU]
        _at_most(len(row["components"]), 1 if menus else 5, "components")
        for menu in menus:
            _at_most(len(menu["options"]), 25, "options")
    for custom in ids:
        _at_most(len(custom), _CUSTOM_ID, "custom_id")


def _check_embed(embed: dict[str, Any]) -> int:
    """The length that counts. Raises Refused."""
    for name, limit in _EMBED_LIMITS.items():
        _at_most(len(embed.get(name) or ""), limit, name)
    fields = embed.get("fields") or []
    _at_most(len(fields), _EMBED_FIELDS, "fields")
    for each in fields:
        _at_most(len(each["name"]), _FIELD_NAME, "name")
        _at_most(len(each["value"]), _FIELD_VALUE, "value")
        if not each["name"] or not each["value"]:
            raise Refused(400, 50035, "Invalid Form Body: fields: This field is required")
    words = [embed.get("title"), embed.get("description"), (embed.get("footer") or {}).get("text")]
    words += [(embed.get("author") or {}).get("name"), *(each[part] for each in fields for part in ("name", "value"))]
    return sum(len(word or "") for word in words)


def _at_most(count: int, limit: int, what: str) -> None:
    if count > limit:
        raise Refused(400, 50035, f"Invalid Form Body: {what}: Must be {limit} or fewer.")


def _kept(values: dict[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in ("content", "embeds", "components", "message_reference") if name in values}
