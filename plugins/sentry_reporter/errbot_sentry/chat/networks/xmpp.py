"""XMPP by the client of Errbot's backend (slixmpp): corrections (XEP-0308), and files by HTTP upload (XEP-0363).

A message gets an id of ours, by which it is corrected later. The room answers with the same id: with the message
itself, as everybody gets it, or with an error if it refuses it (XEP-0045, section 7.4). If a service changes ids, no
answer is recognized; then only the connection is watched, as on IRC.

This module writes the extensions' elements into the stanzas itself, because slixmpp's plugins do not fit: that of
XEP-0363 needs aiohttp, which slixmpp does not install, and that of XEP-0308 announces that the bot shows corrections.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Coroutine
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import Any, TypeVar
from xml.etree.ElementTree import Element, SubElement

import requests
from errbot import rendering
from errbot.backends.base import Room

from errbot_sentry.chat.clicks import OnClick
from errbot_sentry.chat.errbot_patches.xmpp_reconnect import forget_room
from errbot_sentry.chat.networks.errbot_network import Capabilities, File
from errbot_sentry.chat.networks.unconfirmed import UnconfirmedNetwork
from errbot_sentry.domain.errors import NotAdmitted, NotConnected, RoomUnknown, SendError, TokenRefused
from errbot_sentry.domain.locks import Lock
from errbot_sentry.domain.outgoing import Outgoing
from errbot_sentry.server.http.body import answers_within

log = logging.getLogger(__name__)

_T = TypeVar("_T")

_HAND_OVER_SECONDS = 3.0
_ANSWER_SECONDS = 3.0
_SLOT_SECONDS = 10.0
_REFUSALS: dict[str, type[SendError]] = {
    "forbidden": NotAdmitted,
    "not-acceptable": NotAdmitted,
    "not-authorized": NotAdmitted,  # of a room; an account is refused when it logs in
    "item-not-found": RoomUnknown,
    "gone": RoomUnknown,
    "remote-server-not-found": RoomUnknown,
}
_HTTP_TIMEOUT = (5.0, 20.0)
_HTTP_SECONDS = 60.0
_CORRECT = "urn:xmpp:message-correct:0"
_OOB = "jabber:x:oob"
_UPLOAD = "urn:xmpp:http:upload:0"
_UPLOAD_HEADERS = frozenset({"authorization", "cookie", "expires"})  # XEP-0363, section 5: the client ignores others


@dataclass(frozen=True)
class _Slot:
    """Where to upload a file and with which headers, and where people can download it."""

    put: str
    headers: dict[str, str]
    get: str


class XmppNetwork(UnconfirmedNetwork):
    """One account on an XMPP server."""

    capabilities = Capabilities(edits=True, files=True)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._converter = Lock()
        self._to_text = rendering.text()
        self._listens_to: Any = None  # the client whose messages are passed to `_on_answer`
        self._answers: dict[str, Future[None]] = {}
        self._login_error = "not-authorized"
        self._events = {
            "groupchat_message": self._on_answer,
            "message_error": self._on_answer,
            "failed_auth": self._on_failed_login,
            "failed_all_auth": self._on_refused_login,
            "auth_success": self._on_login,
        }

    def listen(self, on_click: OnClick) -> None:
        super().listen(on_click)
        client = self._client()
        if client is not self._listens_to:
            self._listens_to = client
            for event, handler in self._events.items():
                client.add_event_handler(event, handler)

    def close(self) -> None:
        super().close()
        if self._listens_to is not None:
            for event, handler in self._events.items():
                self._listens_to.del_event_handler(event, handler)
        self._listens_to = None

    def room_named(self, name: str) -> str:
        """The address in small letters, as servers write it (RFC 7622, sections 3.2 and 3.3)."""
        return name.lower()

    def edit(self, room: str, sent_id: str, message: Outgoing) -> bool:
        """Correct a message of the present connection; False for an earlier one.

        XEP-0308, section 7: an occupant who has left a room and joined it again may not correct earlier messages.
        Clients would show the correction as another message.
        """
        return sent_id.startswith(self._id_start()) and super().edit(room, sent_id, message)

    def _target(self, room: str) -> Any:
        # Errbot's joins are planned in the client's loop, and that may be busy: look at what it knows after those. With
        # two joins on their way slixmpp 1.8.6 fails in `_await_join`, tells the room so, and is thrown out of it.
        self._await(asyncio.sleep(0), _HAND_OVER_SECONDS)
        return super()._target(room)

    def _identifier(self, address: str) -> Any:
        """The identifier of a person. `build_identifier` would ask the server, and may take it for a room."""
        return self._bot._build_person(address)  # noqa: SLF001 - there is no other way to it

    def _id_start(self) -> str:
        return f"{self.connection() or 'none'}-"

    def _edit(self, target: Any, sent_id: str, message: Outgoing) -> None:
        body = self._layout.messages(message.whole)[0]
        self._send(target, self._text_of(body), Element(f"{{{_CORRECT}}}replace", {"id": sent_id}))

    def _post_text(self, target: Any, body: str, thread: str) -> str:  # noqa: ARG002 - XMPP has no threads in use
        return self._send(target, self._text_of(body))

    def _upload(self, target: Any, file: File, thread: str) -> None:  # noqa: ARG002 - as above
        slot = self._await(self._slot_for(file), _SLOT_SECONDS)
        headers = {**slot.headers, "Content-Type": file.media_type}
        try:
            with answers_within(_HTTP_SECONDS) as session:
                answer = session.put(
                    slot.put,
                    data=file.content,
                    headers=headers,
                    timeout=_HTTP_TIMEOUT,
                    allow_redirects=False,
                    auth=lambda request: request,  # else ~/.netrc replaces the header that the service has given
                )
        except requests.RequestException as error:
            raise SendError("The XMPP server's upload service does not answer.") from error
        if answer.status_code not in (requests.codes.ok, requests.codes.created):
            raise SendError(f"The XMPP server's upload service refused the file ({answer.status_code}).")
        # Clients show the picture itself if the body is only its address.
        shown = Element(f"{{{_OOB}}}x")
        SubElement(shown, f"{{{_OOB}}}url").text = slot.get
        self._send(target, slot.get, shown)

    def _text_of(self, markdown: str) -> str:
        with self._converter:
            return str(self._to_text.convert(markdown))

    def _send(self, target: Any, text: str, *payloads: Element) -> str:
        """Send a message to a room or person; returns its id."""
        client = self._client()
        kind = "groupchat" if isinstance(target, Room) else "chat"
        message = client.make_message(mto=str(target), mbody=text, mtype=kind)
        sent_id = f"{self._id_start()}{uuid.uuid4().hex[:12]}"
        message["id"] = sent_id
        for payload in payloads:
            message.xml.append(payload)

        async def send() -> None:
            if not client.is_connected():
                raise NotConnected("The bot is not connected to the chat network.")
            message.send()

        answer = self._answers[sent_id] = Future()
        try:
            self._await(send(), _HAND_OVER_SECONDS)
            if kind == "groupchat" and client is self._listens_to:
                # In this thread, because at the plugin's end the loop's own thread may wait for us.
                answer.result(_ANSWER_SECONDS)
        except FutureTimeoutError:
            log.debug("%s has not answered message %s", target, sent_id)
        finally:
            del self._answers[sent_id]
        return sent_id

    def _on_answer(self, stanza: Any) -> None:
        """The room's answer to a message of ours, in the client's loop."""
        answer = self._answers.get(stanza["id"])
        if answer is None or answer.done():
            return
        if stanza["type"] != "error":
            answer.set_result(None)
            return
        condition = str(stanza["error"]["condition"])
        log.warning("%s refused a message: %s", stanza["from"], condition)
        if condition == "not-acceptable":  # the bot is not in the room; with the next try it joins again
            forget_room(self._bot, stanza["from"].bare)
        answer.set_exception(_REFUSALS.get(condition, SendError)(f"The room refused the message ({condition})."))

    def _on_failed_login(self, stanza: Any) -> None:
        """One way to log in has failed; the conditions are those of RFC 6120, section 6.5."""
        self._login_error = str(stanza["condition"])

    def _on_refused_login(self, _event: Any) -> None:
        self._note_token_refused(TokenRefused("XMPP", self._login_error, "password"))

    def _on_login(self, _event: Any) -> None:
        self._note_token_accepted()

    async def _slot_for(self, file: File) -> _Slot:
        """Ask the server's upload service for a place for a file."""
        client = self._client()
        found = await client.plugin["xep_0030"].get_info_from_domain(timeout=_ANSWER_SECONDS, cached=False)
        services = [info["from"] for info in found if _UPLOAD in info["disco_info"]["features"]]
        if not services:
            raise SendError("The XMPP server has no service for uploads (XEP-0363).")
        request = {"filename": file.name, "size": str(len(file.content)), "content-type": file.media_type}
        question = client.make_iq_get(ito=services[0])
        question.xml.append(Element(f"{{{_UPLOAD}}}request", request))
        answer = (await question.send(timeout=_ANSWER_SECONDS)).xml.find(f"{{{_UPLOAD}}}slot")
        put, get = (None, None) if answer is None else (answer.find(f"{{{_UPLOAD}}}{name}") for name in ("put", "get"))
        if put is None or get is None:
            raise SendError("The XMPP server's upload service gave no address for the file.")
        headers = {
            str(each.get("name")): (each.text or "").replace("\r", "").replace("\n", "")
            for each in put.findall(f"{{{_UPLOAD}}}header")
            if str(each.get("name")).strip().lower() in _UPLOAD_HEADERS
        }
        return _Slot(put.get("url", ""), headers, get.get("url", ""))

    def _client(self) -> Any:
        return self._bot.conn.client

    def _await(self, work: Coroutine[Any, Any, _T], seconds: float) -> _T:
        """Run something in the client's loop, and wait for it.

        Raises:
            NotConnected: the loop is closed, or did not get to it in time.
            SendError: this is the loop's own thread, which cannot wait. Also whatever the work raises.
        """
        loop = self._client().loop
        try:
            is_own = asyncio.get_running_loop() is loop
        except RuntimeError:
            is_own = False
        if is_own or loop.is_closed():
            work.close()
            raise (SendError if is_own else NotConnected)("The bot's connection cannot be used now.")
        future = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result(seconds)
        except (FutureTimeoutError, asyncio.TimeoutError) as error:
            future.cancel()
            raise NotConnected("The chat network does not answer in time.") from error
