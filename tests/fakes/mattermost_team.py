"""What a Mattermost team holds, for its stand-in: people, channels, posts; and what its server refuses by itself.

Sources, where the API reference is silent: github.com/mattermost/mattermost, under server/, named beside each shape.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.network_server import Upload

MESSAGE_LIMIT = 16383  # public/model/post.go: PostMessageMaxRunesV2


def mm_id(word: str) -> str:
    """An id that names its thing: 26 letters and digits (public/model/utils.go, IsValidId)."""
    return f"{word:0<26}"


TEAM, TEAM_NAME = mm_id("team"), "acme"
BOT, ANN, BOB = mm_id("sentrybot"), mm_id("ann"), mm_id("bob")
OPS, WEB, QUIET = mm_id("ops"), mm_id("web"), mm_id("quiet")


class Refused(Exception):
    """The server says no: an HTTP status and the id of Mattermost's error."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status, self.error = status, error


@dataclass
class Channel:
    """`type` is O (open), P (private) or D (direct). Who is no member may look up an open one, but not post."""

    id: str
    name: str
    type: str = "O"
    members: set[str] = field(default_factory=lambda: {BOT, ANN, BOB})
    archived: bool = False

    def shown(self) -> dict[str, Any]:
        """The JSON that leaves the server."""
        team = "" if self.type == "D" else TEAM
        more = {"display_name": self.name, "header": "", "purpose": "", "delete_at": int(self.archived)}
        return {"id": self.id, "name": self.name, "type": self.type, "team_id": team, **more}


@dataclass
class Post:
    """A message as it stands now; `versions` is every (message, props) of it, newest last."""

    id: str
    channel: str
    user: str
    versions: list[tuple[str, dict[str, Any]]]
    root: str = ""
    files: tuple[str, ...] = ()
    reactions: list[tuple[str, str]] = field(default_factory=list)  # who, emoji name

    @property
    def message(self) -> str:
        return self.versions[-1][0]

    @property
    def props(self) -> dict[str, Any]:
        return self.versions[-1][1]

    @property
    def actions(self) -> dict[str, dict[str, Any]]:
        """The buttons and menus of its attachments, by their ids."""
        attachments = self.props.get("attachments") or ()
        return {each.get("id", ""): each for one in attachments for each in one.get("actions") or ()}

    def shown(self) -> dict[str, Any]:
        """The JSON that leaves the server, buttons without URLs (public/model/post.go, StripActionIntegrations)."""
        props = json.loads(json.dumps(self.props))
        for attachment in props.get("attachments") or ():
            for action in attachment.get("actions") or ():
                action.pop("integration", None)
        return {
            "id": self.id,
            "create_at": 1760000000000,
            "update_at": 1760000000000 + len(self.versions),
            "edit_at": 0 if len(self.versions) == 1 else 1760000000000 + len(self.versions),
            "delete_at": 0,
            "channel_id": self.channel,
            "user_id": self.user,
            "root_id": self.root,
            "message": self.message,
            "type": "",
            "props": props,
            "file_ids": list(self.files),
        }


class MattermostTeam:
    """One team. State is public. `publish(event, channel, data)` is called with what happens."""

    def __init__(self, publish: Callable[[str, Channel, dict[str, Any]], None]) -> None:
        self._publish = publish
        self.people = {BOT: "sentrybot", ANN: "ann", BOB: "bob"}
        self.channels = {OPS: Channel(OPS, "ops"), WEB: Channel(WEB, "web"), QUIET: Channel(QUIET, "quiet")}
        self.channels[QUIET].members.remove(BOT)
        self.posts: list[Post] = []
        self.pending: dict[str, Post] = {}
        self.files: dict[str, Upload] = {}

    def user(self, key: str) -> dict[str, Any]:
        """A person by id or user name. Raises Refused."""
        for user, name in self.people.items():
            if key in (user, name):
                more = {"email": f"{name}@example.org", "first_name": name.title(), "last_name": "Example"}
                return {"id": user, "username": name, "is_bot": user == BOT, "roles": "system_user", **more}
        raise Refused(404, "app.user.missing_account.const")

    def channel(self, key: str) -> Channel:
        """A channel by id or name, as the bot may see it. Raises Refused."""
        for channel in self.channels.values():
            if key in (channel.id, channel.name) and (channel.type == "O" or BOT in channel.members):
                return channel
        raise Refused(404, "app.channel.get_by_name.missing.app_error")

    def post(self, post_id: str) -> Post:
        """A post by its id. Raises Refused."""
        for post in self.posts:
            if post.id == post_id:
                return post
        raise Refused(404, "app.post.get.app_error")

    def direct(self, *people: str) -> Channel:
        """The direct channel between two people; made where there is none."""
        key = mm_id("dm" + "".join(sorted(self.people[person] for person in people)))
        return self.channels.setdefault(key, Channel(key, "__".join(sorted(people)), "D", set(people)))

    def check_post(self, channel_id: str, text: str, root: str, files: list[str]) -> None:
        """What the bot may not post (channels/api4/post.go, channels/app/post.go). Raises Refused."""
        channel = self.channels.get(channel_id)
        if channel is None or BOT not in channel.members:
            raise Refused(403, "api.context.permissions.app_error")
        if channel.archived:
            raise Refused(400, "api.post.create_post.can_not_post_to_deleted.error")
        if len(text) > MESSAGE_LIMIT:
            raise Refused(400, "model.post.is_valid.message_length.app_error")
        heads = {post.id for post in self.posts if post.channel == channel_id and not post.root}
        if root and root not in heads:  # neither an answer to an answer, nor one into another channel
            raise Refused(400, "api.post.create_post.root_id.app_error")
        if any(file not in self.files for file in files):
            raise Refused(400, "api.post.create_post.attach_files.error")

    def add(
        self,
        user: str,
        channel_id: str,
        text: str,
        root: str = "",
        files: tuple[str, ...] = (),
        props: dict[str, Any] | None = None,
    ) -> Post:
        """A new post; its author's own client gets it too (channels/app/notification.go)."""
        channel = self.channels[channel_id]
        post = Post(mm_id(f"post{len(self.posts) + 1}x"), channel_id, user, [(text, props or {})], root, files)
        self.posts.append(post)
        named = [key for key, name in self.people.items() if f"@{name}" in text]
        payload = {
            "post": json.dumps(post.shown()),
            "channel_type": channel.type,
            "channel_display_name": channel.name,
            "channel_name": channel.name,
            "sender_name": f"@{self.people[user]}",
            "team_id": "" if channel.type == "D" else TEAM,
            "set_online": True,
            **({"mentions": json.dumps(named)} if named else {}),
        }
        self._publish("posted", channel, payload)
        return post

    def change(self, post: Post, message: str | None, props: dict[str, Any] | None) -> Post:
        """A new version; None keeps what there is (public/model/post.go, PostPatch)."""
        post.versions.append((post.message if message is None else message, post.props if props is None else props))
        self._publish("post_edited", self.channels[post.channel], {"post": json.dumps(post.shown())})
        return post

    def react(self, person: str, post_id: str, emoji: str) -> dict[str, Any]:
        """A reaction, and its event (channels/app/reaction.go, sendReactionEvent)."""
        post = self.post(post_id)
        post.reactions.append((person, emoji))
        payload = {"user_id": person, "post_id": post_id, "emoji_name": emoji, "create_at": 1760000000000}
        payload["channel_id"] = post.channel
        self._publish("reaction_added", self.channels[post.channel], {"reaction": json.dumps(payload)})
        return payload
