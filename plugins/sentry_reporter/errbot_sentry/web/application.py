"""Answers the requests to paths below /sentry/, without a web framework.

Two servers call it: Errbot's web server (`errbot_route.py`) and our own (`listener.py`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from errbot_sentry.alerting.receive.receiver import LARGEST_BODY, WebhookAnswer

log = logging.getLogger(__name__)

PREFIX = "/sentry/"
# If the connection is closed while the sender still writes, it sees a broken connection instead of the 413. So up to
# this many bytes are read and dropped.
LARGEST_DRAINED = 32 * 1024 * 1024
TOO_LARGE = "The body is larger than 5 MB."
_PIECE = 64 * 1024

_PLAIN = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Reply:
    """One HTTP answer."""

    status: int
    text: str
    content_type: str = _PLAIN


class Body(Protocol):
    """A request's body, read once."""

    def read(self, size: int, /) -> bytes: ...


class ClickResult(Protocol):
    """The HTTP status of the answer to a click, and its JSON ("" if the chat network needs none)."""

    @property
    def status(self) -> int: ...

    @property
    def json(self) -> str: ...


TakeWebhook = Callable[[Mapping[str, str], bytes, str | None], WebhookAnswer]
"""Stores one delivery: its headers, its body and the token of its URL. Never raises, sends or fetches anything."""

TakeClick = Callable[[Mapping[str, str], bytes], ClickResult]
"""Takes the headers and body of one click from a chat network. It only checks the click before it answers."""

Page = Callable[[], Reply]
"""Answers a GET. It must be quick, and its reply must contain no secrets."""

PAGES = ("health", "metrics")


class Web:
    """Answers requests below /sentry/. It exists longer than an activation: closed, it answers 503 until reopened."""

    def __init__(self) -> None:
        self._take: TakeWebhook | None = None
        self._take_click: TakeClick | None = None
        self._pages: Mapping[str, Page] = {}

    def open(self, take: TakeWebhook | None, pages: Mapping[str, Page], take_click: TakeClick | None = None) -> None:
        """Start to answer requests.

        `take` stores webhooks (None if alerts are switched off), `pages` answer the PAGES, and `take_click` takes the
        clicks of the chat network.
        """
        self._take, self._pages, self._take_click = take, pages, take_click

    def close(self) -> None:
        """Answer every request with 503 from now on."""
        self._take, self._pages, self._take_click = None, {}, None

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: Body, length: int | None) -> Reply:
        """Answer one request. `path` is the part after /sentry/; `length` is the Content-Length, None if unknown."""
        parts = path.strip("/").split("/")
        if len(parts) == 1 and parts[0] in PAGES:
            return self._answer_page(parts[0]) if method in ("GET", "HEAD") else Reply(405, "Use GET.")
        if parts != ["clicks"] and (parts[0] != "webhook" or len(parts) > 2):
            return Reply(404, "There is nothing here.")
        if method != "POST":
            return Reply(405, "Use POST.")
        if parts == ["clicks"]:
            return self._answer_click(headers, body, length)
        return self._answer_webhook(headers, body, length, parts[1] if len(parts) == 2 else None)

    def _answer_webhook(self, headers: Mapping[str, str], body: Body, length: int | None, token: str | None) -> Reply:
        take = self._take
        if take is None:
            return Reply(503, "Alerts are switched off.")
        content = _content(body, length)
        if isinstance(content, Reply):
            return content
        answer = take(headers, content, token)
        return Reply(answer.status, answer.text)

    def _answer_click(self, headers: Mapping[str, str], body: Body, length: int | None) -> Reply:
        take = self._take_click
        if take is None:
            return Reply(503, "The bot is not active.")
        content = _content(body, length)
        if isinstance(content, Reply):
            return content
        try:
            answer = take(headers, content)
        except Exception as error:  # noqa: BLE001 - the networks' libraries raise various errors for an invalid click
            # Anybody can send an invalid click, so it is not logged as an error, which would be reported each time.
            log.info("a click could not be read: %s", type(error).__name__)
            return Reply(400, "The click could not be read.")
        return Reply(answer.status, answer.json, "application/json" if answer.json else _PLAIN)

    def _answer_page(self, name: str) -> Reply:
        page = self._pages.get(name)
        if page is None:
            return Reply(503, json.dumps({"status": "inactive"}), "application/json")
        try:
            return page()
        except Exception:  # any part of the bot may fail to report its health
            log.exception("the page /sentry/%s failed", name)
            return Reply(500, "This page failed; the bot's log has the cause.")


def _content(body: Body, length: int | None) -> bytes | Reply:
    """The whole body, or the reply to a request whose body cannot be read."""
    try:
        content = _read(body, length)
    except (OSError, ValueError) as error:  # invalid chunks, for example, which are not an error of the bot
        log.info("the body of a request could not be read: %s", error)
        return Reply(400, "The body could not be read.")
    if content is None:
        return Reply(413, TOO_LARGE)
    if length is not None and len(content) < length:
        return Reply(400, "The body is shorter than its Content-Length.")
    return content


def _read(body: Body, length: int | None) -> bytes | None:
    """The whole body; None if it is too large."""
    if length is not None and length > LARGEST_BODY:
        _drain(body, length)
        return None
    # Read in pieces, because some streams allocate the requested size before any data has arrived.
    content = bytearray()
    left = LARGEST_BODY + 1 if length is None else length
    while left and (piece := body.read(min(left, _PIECE))):
        content += piece
        left -= len(piece)
    if len(content) > LARGEST_BODY:
        _drain(body, None)
        return None
    return bytes(content)


def _drain(body: Body, left: int | None) -> None:
    """Read and drop the rest of the body (`left` bytes, None if unknown), up to a limit."""
    if left is None or left <= LARGEST_DRAINED:
        drained = 0
        while drained < LARGEST_DRAINED and (piece := body.read(_PIECE)):
            drained += len(piece)
