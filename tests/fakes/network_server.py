"""What the stand-ins for chat networks have in common: they record calls, refuse them, lose answers, and go away."""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qsl

from tests.fakes.http_server import HttpServer, Reply, Request
from tests.fakes.websocket import WebSocket, reset
from tests.waiting import until

WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class Upload:
    """A file of a multipart request."""

    name: str
    content: bytes
    type: str


@dataclass
class Call:
    """A request as the network got it. `name` is what `refuse` matches; `status` is what was answered (0: lost)."""

    name: str
    values: dict[str, Any]
    files: dict[str, Upload] = field(default_factory=dict)
    status: int = 0

    @property
    def refused(self) -> bool:
        return self.status >= 400


@dataclass
class _Rule:
    """What happens to calls whose name fits `pattern`, `left` more times (None: always)."""

    pattern: str
    reply: Reply | None  # None: the call takes effect and its answer is lost
    left: int | None

    def applies(self, name: str) -> bool:
        if self.left == 0 or not fnmatchcase(name, self.pattern):
            return False
        if self.left is not None:
            self.left -= 1
        return True


class NetworkServer(HttpServer):
    """A network: subclasses name calls (`name_of`), carry them out (`carry_out`), and word refusals.

    `calls` is everything that was asked, refused calls included. `offline = True` resets every connection made from
    then on; `cut()` does so to the open websockets.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(self._answer, tls)
        self.calls: list[Call] = []
        self.offline = False
        self.sockets: list[WebSocket] = []
        self._rules: list[_Rule] = []
        self._guard = threading.RLock()

    def called(self, pattern: str) -> list[Call]:
        """The calls so far whose name fits (`*` stands for anything)."""
        return [call for call in list(self.calls) if fnmatchcase(call.name, pattern)]

    def wait_for_call(self, pattern: str, count: int = 1, timeout: float = WAIT_SECONDS) -> list[Call]:
        """Wait until so many calls have come and been answered; returns them all."""

        def found() -> list[Call] | None:
            calls = [call for call in self.called(pattern) if call.status]
            return calls if len(calls) >= count else None

        seen = until(found, timeout, lambda: f"{count} × {pattern}; there was {[call.name for call in self.calls]}")
        assert seen
        return seen

    def refuse(self, pattern: str, status: int, times: int | None = None, **more: Any) -> None:
        """Refuse calls that fit, `times` times or until `allow`; `more` is what `refusal` of the network takes."""
        self._rules.append(_Rule(pattern, self.refusal(status, **more), times))

    def lose_answer(self, pattern: str, times: int = 1) -> None:
        """Carry out calls that fit, but reset the connection instead of answering: the caller cannot know."""
        self._rules.append(_Rule(pattern, None, times))

    def allow(self) -> None:
        """End every refusal and loss."""
        self._rules.clear()

    def cut(self) -> None:
        """Reset all websockets at once: no close frame."""
        for each in self._take_sockets():
            each.reset()

    def close_sockets(self, code: int = 1000) -> None:
        """End all websockets in order, with this close code."""
        for each in self._take_sockets():
            each.close(code)

    def silence(self) -> None:
        """Let all open websockets receive and send nothing more, without ending them."""
        for each in self._take_sockets():
            each.silence()

    def hang(self) -> None:
        """As before, on websockets too."""
        super().hang()
        self.silence()

    def wait_for_socket(self, timeout: float = WAIT_SECONDS) -> None:
        """Wait until a client has a websocket here, with its greeting done."""
        until(lambda: self.sockets, timeout, "a client that has greeted over a websocket")

    def refusal(self, status: int, **more: Any) -> Reply:
        """The network's words for a refusal."""
        raise NotImplementedError

    def name_of(self, request: Request) -> str:
        """What a call is named, for tests."""
        return f"{request.method} {request.path}"

    def carry_out(self, call: Call, request: Request) -> Reply:
        """Do what a call asks; runs under the server's lock."""
        raise NotImplementedError

    def socket_for(self, request: Request) -> Reply | None:
        """The answer to a request for a websocket; None where it is none."""
        return None

    def waits(self, call: Call) -> bool:
        """Wait before a call is carried out, outside of the lock, for long polls; whether it still wants an answer."""
        return True

    @contextmanager
    def listed(self, socket: WebSocket) -> Iterator[None]:
        """Count a websocket among the open ones, until the end of the block."""
        with self._guard:
            self.sockets.append(socket)
        try:
            yield
        finally:
            with self._guard:
                if socket in self.sockets:
                    self.sockets.remove(socket)

    def _take_sockets(self) -> list[WebSocket]:
        with self._guard:
            taken, self.sockets = self.sockets, []
        return taken

    def _answer(self, request: Request) -> Reply:
        if self.offline:
            return Reply(raw=reset)
        if "upgrade" in request.headers and (reply := self.socket_for(request)):
            return reply
        values, files = _content(request)
        call = Call(self.name_of(request), values, files)
        if not self.waits(call):
            return Reply(raw=reset)
        with self._guard:
            self.calls.append(call)
            rule = next((each for each in self._rules if each.applies(call.name)), None)
            if rule and rule.reply:
                reply = rule.reply
            else:
                reply = self.carry_out(call, request)
                if rule:
                    return Reply(raw=reset)
            call.status = reply.status
        return reply


def _content(request: Request) -> tuple[dict[str, Any], dict[str, Upload]]:
    """The values and files of a request, from its query, and its body as JSON, form or multipart."""
    values: dict[str, Any] = dict(request.query)
    kind = request.headers.get("content-type", "")
    if kind.startswith("application/json"):
        body = request.json
        values.update(body if isinstance(body, dict) else {"": body} if body is not None else {})
    elif kind.startswith("multipart/form-data"):
        fields, files = _multipart(request.body, kind)
        values.update(fields)
        if "payload_json" in values:  # Discord
            values.update(json.loads(values.pop("payload_json")))
        return values, files
    elif kind.startswith("application/x-www-form-urlencoded"):
        values.update(parse_qsl(request.body.decode(errors="replace"), keep_blank_values=True))
    return values, {}


def _multipart(body: bytes, kind: str) -> tuple[dict[str, str], dict[str, Upload]]:
    """RFC 7578: fields by name, and the parts that have a file name."""
    fields: dict[str, str] = {}
    files: dict[str, Upload] = {}
    boundary = re.search(r'boundary="?([^";]+)"?', kind)
    assert boundary, kind
    for part in body.split(b"--" + boundary[1].encode())[1:-1]:
        head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        content = content.removesuffix(b"\r\n")
        said = Message()
        for line in head.decode().split("\r\n"):
            name, _, value = line.partition(":")
            said[name.strip()] = value.strip()
        field_name = str(said.get_param("name", header="content-disposition"))
        file_name = said.get_filename()
        if file_name is None:
            fields[field_name] = content.decode()
        else:
            files[field_name] = Upload(file_name, content, said.get_content_type())
    return fields, files


Routes = list[tuple[str, "re.Pattern[str]", Callable[..., Any]]]


def route(method: str, path: str, handler: Callable[..., Any]) -> tuple[str, re.Pattern[str], Callable[..., Any]]:
    """A route: `{}` in the path is one segment, handed to the handler."""
    return method, re.compile(re.escape(path).replace(r"\{\}", "([^/]+)") + "$"), handler
