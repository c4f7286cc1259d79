"""A stand-in for Errbot's Zulip backend, around the real client package.

The real one (github.com/zulip/errbot-backend-zulip, zulip.py) is on no package index, so no test can install it by
name. This has of it what SentryReporter touches, and the method or class that each shape is taken from beside it. The
calls to Zulip's client are the same. Errbot loads this file; nothing of the tests can be imported here.
"""

# ruff: noqa: A002 - the backend has these names

from __future__ import annotations

import zulip
from errbot.backends.base import ONLINE, Person, Room, RoomOccupant
from errbot.core import ErrBot


class _Identifier:
    """`ZulipIdentifier`: printed as its id, which is a text, and equal to whatever has the same one; no hash."""

    def __init__(self, id):
        self._id = str(id)

    @property
    def id(self):
        return self._id

    def __str__(self):
        return self._id

    def __eq__(self, other):
        return self._id == other.id

    __hash__ = None


class ZulipPerson(_Identifier, Person):
    """`ZulipPerson`: one person, or all of a direct conversation."""

    def __init__(self, id, full_name, emails, client):
        super().__init__(id)
        self._full_name, self._emails, self._client = full_name, emails, client

    person = property(lambda self: self._id)
    fullname = property(lambda self: self._full_name)
    nick = property(lambda self: None)
    client = property(lambda self: self._client)
    emails = property(lambda self: self._emails)
    aclattr = property(lambda self: ",".join(sorted(self._emails)))


class ZulipRoom(_Identifier, Room):
    """`ZulipRoom`: a channel with the topic that an answer goes to."""

    def __init__(self, title, id=None, subject=None, client=None):
        super().__init__(id)
        self._title, self._subject, self._client = title, subject, client

    aclattr = property(lambda self: self._id)
    subject = property(lambda self: self._subject)
    title = property(lambda self: self._title)

    def join(self, username=None, password=None):
        self._client.add_subscriptions([{"name": self._title}])

    def _unsupported(self, *_):
        raise NotImplementedError

    create = leave = destroy = invite = _unsupported
    joined = exists = topic = occupants = property(_unsupported)


class ZulipRoomOccupant(ZulipPerson, RoomOccupant):
    """`ZulipRoomOccupant`."""

    def __init__(self, id, full_name, emails, client, room):
        super().__init__(id, full_name, emails, client)
        self._room = room

    room = property(lambda self: self._room)


class ZulipBackend(ErrBot):
    """`ZulipBackend`."""

    def __init__(self, config):
        super().__init__(config)
        config.MESSAGE_SIZE_LIMIT = 10000
        told = config.BOT_IDENTITY
        self.client = zulip.Client(email=told["email"], api_key=told["key"], site=told["site"])

    def serve_once(self):
        """It comes back from `call_on_each_message` by an exception of a plugin or Ctrl-C alone."""
        self.bot_identifier = self.build_identifier(self.client.email)
        self.client.ensure_session()
        self.reset_reconnection_count()
        self.connect_callback()
        try:
            self.client.call_on_each_message(self._handle_message)
        except KeyboardInterrupt:
            return True
        finally:
            self.disconnect_callback()

    def _handle_message(self, message):
        """No id and no extras; the topic is in the room."""
        made = self.build_message(message["content"])
        sender = {
            "id": message["sender_email"],
            "full_name": message["sender_full_name"],
            "emails": [message["sender_email"]],
            "client": message["client"],
        }
        if message["type"] == "private":
            people = message["display_recipient"]
            made.frm = ZulipPerson(**sender)
            made.to = ZulipPerson(
                id=message["sender_email"],
                full_name=",".join(each["full_name"] for each in people),
                emails=[each["email"] for each in people],
                client=None,
            )
        else:
            name = message["display_recipient"]
            room = ZulipRoom(id=name, title=name, subject=message["subject"])
            made.frm, made.to = ZulipRoomOccupant(**sender, room=room), room
        self.callback_message(made)

    def send_message(self, msg):
        """Markdown goes out as it is; what the client answers is dropped."""
        super().send_message(msg)
        values = {"content": msg.body}
        if isinstance(msg.to, ZulipPerson):
            values |= {"type": "private", "to": msg.to.emails}
        else:
            values |= {"type": "stream", "subject": msg.to.subject, "to": msg.to.title}
        self.client.send_message(values)

    def is_from_self(self, msg):
        return msg.frm.aclattr == self.client.email

    def change_presence(self, status=ONLINE, message=""):
        pass

    def build_identifier(self, txtrep):
        return ZulipPerson(id=txtrep, full_name=txtrep, emails=[txtrep], client=self.client)

    def build_reply(self, msg, text=None, private=False, threaded=False):
        response = self.build_message(text)
        response.to = msg.to
        return response

    mode = property(lambda self: "zulip")

    def query_room(self, room):
        """Without an id: it prints as None."""
        return ZulipRoom(title=room, client=self.client)

    def rooms(self):
        return []

    def prefix_groupchat_reply(self, message, identifier):
        super().prefix_groupchat_reply(message, identifier)
