"""A person on an XMPP server, for tests: slixmpp in a thread of its own, with everything received recorded."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from slixmpp import ClientXMPP

from tests.servers.prosody import DOMAIN, PASSWORD, Prosody

# Without TLS on loopback: slixmpp wants to be told.
_IN_THE_CLEAR = {"feature_mechanisms": {"unencrypted_plain": True, "unencrypted_scram": True}}
_UNSEEN = "\u200b"


@dataclass(frozen=True)
class Stanza:
    """A message as it came: `room` is "" for a direct one, `sender` a nick in a room or a bare address.

    `at` is `time.monotonic()`, `replaces` the id of the message that this one corrects (XEP-0308), `url` the address of
    a file (XEP-0066), `raw` the XML.
    """

    room: str
    sender: str
    text: str
    markup: bool
    at: float
    id: str = ""
    replaces: str = ""
    url: str = ""
    raw: str = ""


class XmppClient:
    """Connects and logs in on construction; `in_room` maps rooms to the nicks that are there."""

    def __init__(self, server: Prosody, name: str, timeout: float = 30.0) -> None:
        self.name = name
        self._timeout = timeout
        self._changed = threading.Condition()
        self._received: list[Stanza] = []
        self._corrections: list[Stanza] = []
        self._there: dict[str, set[str]] = {}
        self._errors: list[str] = []
        self._ready = False
        self._ended = False
        self._loop = asyncio.new_event_loop()
        self._client: Any = None
        self._thread = threading.Thread(target=self._run, args=(server,), name=f"xmpp-{name}", daemon=True)
        self._thread.start()
        self._wait(lambda: self._ready, timeout, f"{name} is logged in")

    def __enter__(self) -> XmppClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def join(self, room: str, nick: str = "") -> None:
        """Join a room and wait until we are in it."""
        wanted = nick or self.name
        self._do(lambda: self._client.plugin["xep_0045"].join_muc(room, wanted))
        self.wait_for_join(wanted, room, self._timeout)

    def say(self, to: str, text: str) -> None:
        """Say something in a room that we are in, or to a person's address."""
        kind = "groupchat" if to in self._there else "chat"
        self._do(lambda: self._client.send_message(mto=to, mbody=text, mtype=kind))

    def count(self) -> int:
        """How many messages came so far; what a later `wait_for(after=...)` takes."""
        with self._changed:
            return len(self._received)

    def received(self, room: str | None = None, sender: str | None = None, after: int = 0) -> list[Stanza]:
        """What came, oldest first; `room` "" for direct messages."""
        with self._changed:
            return [
                each for each in self._received[after:] if room in (None, each.room) and sender in (None, each.sender)
            ]

    def wait_for_correction(self, pattern: str, of: Stanza, timeout: float = 60.0) -> Stanza:
        """The first correction of a message that matches the regular expression; `received` has none of them."""

        def found() -> Stanza | None:
            matching = (each for each in self.corrections_of(of) if re.search(pattern, each.text.replace(_UNSEEN, "")))
            return next(matching, None)

        return self._wait(found, timeout, f"a correction like {pattern!r}")

    def corrections_of(self, message: Stanza) -> list[Stanza]:
        """What came to correct a message, from whom it came."""
        return [
            each
            for each in list(self._corrections)
            if (each.room, each.sender, each.replaces) == (message.room, message.sender, message.id)
        ]

    def set_role(self, room: str, nick: str, role: str) -> None:
        """Give somebody a role in a room that is ours; a `visitor` may not speak."""
        self._do(lambda: asyncio.ensure_future(self._client.plugin["xep_0045"].set_role(room, nick, role)))

    def wait_for(
        self, pattern: str, timeout: float = 60.0, *, room: str | None = None, sender: str | None = None, after: int = 0
    ) -> Stanza:
        """The first message that matches the regular expression, waiting for it; failure lists what came instead.

        The invisible mark that keeps nicks from being paged is no part of what is matched.
        """

        def found() -> Stanza | None:
            for each in self._received[after:]:
                if (
                    room in (None, each.room)
                    and sender in (None, each.sender)
                    and re.search(pattern, each.text.replace(_UNSEEN, ""))
                ):
                    return each
            return None

        return self._wait(found, timeout, f"a message like {pattern!r}")

    def wait_for_join(self, nick: str, room: str, timeout: float = 60.0) -> None:
        """Wait until somebody is in a room that we are in (or are joining)."""
        self._wait(lambda: nick in self._there.get(room, ()), timeout, f"{nick} is in {room}")

    def names(self, room: str) -> set[str]:
        """Who is in a room that we are in."""
        with self._changed:
            return set(self._there.get(room, ()))

    @property
    def connected(self) -> bool:
        return not self._errors and bool(self._client.is_connected())

    def close(self) -> None:
        """Leave, and end the thread."""
        if self._thread.is_alive():
            self._do(lambda: self._client.disconnect(wait=0.2))
            self._do(lambda: self._loop.call_later(0.5, self._loop.stop))
        self._thread.join(10)

    def _wait(self, condition: Callable[[], Any], timeout: float, what: str) -> Any:
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                if found := condition():
                    return found
                left = deadline - time.monotonic()
                if left <= 0 or self._errors:
                    came = "\n".join(f"  {each}" for each in self._received[-20:]) or "  nothing"
                    why = self._errors[0] if self._errors else f"{timeout:g} s passed"
                    raise AssertionError(f"{self.name} waited for this: {what}, but {why}; what came:\n{came}")
                self._changed.wait(min(left, 0.5))

    def _do(self, act: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(act)

    def _run(self, server: Prosody) -> None:
        try:
            self._serve(server)
        except BaseException as error:
            self._fail(f"its thread ended: {error!r}")
            raise

    def _serve(self, server: Prosody) -> None:
        asyncio.set_event_loop(self._loop)
        client = ClientXMPP(f"{self.name}@{DOMAIN}/test", PASSWORD, plugin_config=_IN_THE_CLEAR)
        self._client = client
        client.loop = self._loop
        client.register_plugin("xep_0045")
        client.add_event_handler("session_start", self._on_start)
        client.add_event_handler("message", self._on_message)
        client.add_event_handler("groupchat_presence", self._on_presence)
        client.add_event_handler("failed_auth", lambda _: self._fail("the login was refused"))
        client.connect((server.host, server.port))
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def _on_start(self, _event: object) -> None:
        self._client.send_presence()
        with self._changed:
            self._ready = True
            self._changed.notify_all()

    def _on_message(self, stanza: Any) -> None:
        if stanza["type"] not in ("groupchat", "chat", "normal") or not stanza["body"]:
            return
        in_room = stanza["type"] == "groupchat"
        room = stanza["from"].bare if in_room else ""
        sender = stanza["from"].resource if in_room else stanza["from"].bare
        markup = stanza.xml.find("{http://jabber.org/protocol/xhtml-im}html") is not None
        replaces = stanza.xml.find("{urn:xmpp:message-correct:0}replace")
        message = Stanza(
            room,
            sender,
            stanza["body"],
            markup,
            time.monotonic(),
            stanza["id"],
            "" if replaces is None else replaces.get("id", ""),
            stanza.xml.findtext("{jabber:x:oob}x/{jabber:x:oob}url", ""),
            str(stanza),
        )
        with self._changed:
            (self._corrections if message.replaces else self._received).append(message)
            self._changed.notify_all()

    def _on_presence(self, presence: Any) -> None:
        room, nick = presence["from"].bare, presence["from"].resource
        with self._changed:
            there = self._there.setdefault(room, set())
            if presence["type"] == "unavailable":
                there.discard(nick)
            elif presence["type"] != "error":
                there.add(nick)
            self._changed.notify_all()

    def _fail(self, why: str) -> None:
        with self._changed:
            self._errors.append(why)
            self._changed.notify_all()
