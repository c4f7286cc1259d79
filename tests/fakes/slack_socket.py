"""The server's side of Slack's socket mode: a WebSocket with envelopes that the app acknowledges.

Envelopes, `hello` and `disconnect`: docs.slack.dev/apis/events-api/using-socket-mode, and the recorded envelopes in
slackapi/python-slack-sdk, tests/slack_sdk/socket_mode/mock_socket_mode_server.py.
"""

from __future__ import annotations

import uuid
from typing import Any

from tests.fakes.websocket import WebSocket
from tests.waiting import until

ACKNOWLEDGE_SECONDS = 30.0


class SocketSession:
    """One connection of the app; `acknowledged` maps envelope ids to what the app sent along (or None)."""

    def __init__(self, connection: WebSocket) -> None:
        self.acknowledged: dict[str, Any] = {}
        self.open = True
        self.connection = connection

    def serve(self) -> None:
        """Read what the app sends until one side ends the connection."""
        self.connection.send({"type": "hello", "num_connections": 1, "connection_info": {"app_id": "A00"}})
        try:
            while True:
                answer = self.connection.receive()
                self.acknowledged[answer["envelope_id"]] = answer.get("payload")
        finally:
            self.open = False


class SocketMode:
    """The connections of one app, newest last."""

    def __init__(self) -> None:
        self.sessions: list[SocketSession] = []

    @property
    def connected(self) -> bool:
        return any(session.open for session in self.sessions)

    def serve(self, connection: WebSocket) -> None:
        """Serve a connection until it ends."""
        session = SocketSession(connection)
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
        self.wait_for_connection().connection.send(message)
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
        self.wait_for_connection().connection.send({"type": "disconnect", "reason": "refresh_requested"})

    def close(self) -> None:
        """The connection ends in order; slack_sdk is back within five seconds."""
        self.wait_for_connection().connection.close()

    def drop(self) -> None:
        """Every connection ends without a word; slack_sdk notices after five failed pings, 25 seconds."""
        for session in self.sessions:
            session.connection.reset()
