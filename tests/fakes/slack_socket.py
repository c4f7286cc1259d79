"""The server's side of Slack's socket mode: a WebSocket with envelopes that the app acknowledges.

Envelopes, `hello` and `disconnect`: docs.slack.dev/apis/events-api/using-socket-mode, and the recorded envelopes in
slackapi/python-slack-sdk, tests/slack_sdk/socket_mode/mock_socket_mode_server.py. Frames: RFC 6455, sections 4 and 5.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import struct
import threading
import uuid
from contextlib import suppress
from typing import Any

from tests.waiting import until

_TEXT, _CLOSE, _PING, _PONG = 0x1, 0x8, 0x9, 0xA
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
ACKNOWLEDGE_SECONDS = 30.0


class SocketSession:
    """One connection of the app; `acknowledged` maps envelope ids to what the app sent along (or None)."""

    def __init__(self, connection: socket.socket, key: str) -> None:
        self.acknowledged: dict[str, Any] = {}
        self.open = True
        self._connection = connection
        self._sending = threading.Lock()
        accept = base64.b64encode(hashlib.sha1(key.encode() + _MAGIC).digest()).decode()
        head = ("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade")
        connection.sendall("\r\n".join([*head, f"Sec-WebSocket-Accept: {accept}", "", ""]).encode())
        self.send({"type": "hello", "num_connections": 1, "connection_info": {"app_id": "A00"}})

    def serve(self) -> None:
        """Read what the app sends until one side ends the connection."""
        with suppress(OSError):
            while self.open:
                kind, data = self._read()
                if kind == _PING:
                    self._write(_PONG, data)
                elif kind == _CLOSE:
                    self._write(_CLOSE, data)
                    break
                elif kind == _TEXT:
                    answer = json.loads(data)
                    self.acknowledged[answer["envelope_id"]] = answer.get("payload")
        self.drop()

    def send(self, message: dict[str, Any]) -> None:
        """Send one message. Raises OSError when the connection has gone."""
        self._write(_TEXT, json.dumps(message).encode())

    def close(self) -> None:
        """End the connection in order, with a close frame (code 1000)."""
        self._write(_CLOSE, struct.pack("!H", 1000) + b"bye")

    def drop(self) -> None:
        """End the connection without a word, as a network does."""
        self.open = False
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def _write(self, kind: int, data: bytes) -> None:
        size = len(data)
        if size < 126:
            head = struct.pack("!BB", 0x80 | kind, size)
        elif size < 65536:
            head = struct.pack("!BBH", 0x80 | kind, 126, size)
        else:
            head = struct.pack("!BBQ", 0x80 | kind, 127, size)
        with self._sending:
            self._connection.sendall(head + data)

    def _read(self) -> tuple[int, bytes]:
        """One frame of the client's, unmasked. The SDK never splits a message."""
        first, second = self._exactly(2)
        size = second & 0x7F
        if size >= 126:
            wide = 2 if size == 126 else 8
            size = int.from_bytes(self._exactly(wide), "big")
        mask = self._exactly(4)
        data = self._exactly(size)
        return first & 0xF, bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))

    def _exactly(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            piece = self._connection.recv(count - len(found))
            if not piece:
                raise ConnectionError("the app has gone")
            found += piece
        return found


class SocketMode:
    """The connections of one app, newest last."""

    def __init__(self) -> None:
        self.sessions: list[SocketSession] = []

    @property
    def connected(self) -> bool:
        return any(session.open for session in self.sessions)

    def serve(self, connection: socket.socket, key: str) -> None:
        """Take over an HTTP connection that asked for the upgrade with this `Sec-WebSocket-Key`."""
        session = SocketSession(connection, key)
        self.sessions.append(session)
        session.serve()

    def deliver(self, kind: str, payload: dict[str, Any], *, envelope: str = "", retry: int = 0) -> str:
        """Send an envelope (`events_api`, `interactive`) to the app when it is connected; returns the envelope's id.

        The same `envelope` again with `retry` 1 is what Slack does where the app was silent for three seconds.
        """
        envelope = envelope or str(uuid.uuid4())
        message: dict[str, Any] = {"envelope_id": envelope, "payload": payload, "type": kind}
        message["accepts_response_payload"] = kind == "interactive" and payload["type"] != "block_actions"
        if kind == "events_api":
            message |= {"retry_attempt": retry, "retry_reason": "timeout" if retry else ""}
        self.wait_for_connection().send(message)
        return envelope

    def wait_for_connection(self) -> SocketSession:
        """The newest open connection, waiting for one."""
        return until(
            lambda: next((each for each in reversed(self.sessions) if each.open), None),
            ACKNOWLEDGE_SECONDS,
            "the app connects in socket mode",
        )

    def wait_for_acknowledgement(self, envelope: str) -> Any:
        """Wait until the app has acknowledged an envelope; the payload that it sent along, or None."""
        (found,) = until(
            lambda: next(
                ((each.acknowledged[envelope],) for each in self.sessions if envelope in each.acknowledged), None
            ),
            ACKNOWLEDGE_SECONDS,
            f"the app acknowledges {envelope}",
        )
        return found

    def refresh(self) -> None:
        """Slack asks the app to connect anew, as it does every few hours; slack_sdk does at once."""
        self.wait_for_connection().send({"type": "disconnect", "reason": "refresh_requested"})

    def close(self) -> None:
        """The connection ends in order; slack_sdk is back within five seconds."""
        self.wait_for_connection().close()

    def drop(self) -> None:
        """Every connection ends without a word; slack_sdk notices after five failed pings, 25 seconds."""
        for session in self.sessions:
            session.drop()
