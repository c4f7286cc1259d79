"""The answers below /sentry/, without a web framework.

Two servers stand in front of it: Errbot's own (`errbot_route.py`) and ours (`listener.py`).
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
# A sender that is cut off while it still writes sees a broken connection instead of the 413; so that much is read away.
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
    """The HTTP status of the answer to a click, and its JSON where the chat network wants one."""

    @property
    def status(self) -> int: ...

    @property
    def json(self) -> str: ...


TakeWebhook = Callable[[Mapping[str, str], bytes, str | None], WebhookAnswer]
"""Stores one delivery: its headers, its body and the token of its URL. Never raises, sends or fetches anything."""

TakeClick = Callable[[Mapping[str, str], bytes], ClickResult]
"""Takes one click from a chat network: its headers and body. It checks, and does nothing else before it answers."""

Page = Callable[[], Reply]
"""Answers a GET; it must be quick and contain no secrets."""

PAGES = ("health", "metrics")


class Web:
    """Answers requests below /sentry/. It outlives activations: closed, it answers 503 until it is opened again."""

    def __init__(self) -> None:
        self._take: TakeWebhook | None = None
        self._take_click: TakeClick | None = None
        self._pages: Mapping[str, Page] = {}

    def open(self, take: TakeWebhook | None, pages: Mapping[str, Page], take_click: TakeClick | None = None) -> None:
        """From now on `take` stores webhooks (None while alerts are switched off), `take_click` takes the clicks of the
        chat network, and PAGES are answered."""
        self._take, self._pages, self._take_click = take, pages, take_click

    def close(self) -> None:
        """From now on everything is answered with 503."""
        self._take, self._pages, self._take_click = None, {}, None

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: Body, length: int | None) -> Reply:
        """Answer one request; `path` is what follows /sentry/, `length` the Content-Length where it is known."""
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
        except Exception as error:  # noqa: BLE001 - libraries check it, and raise what they like at what is no click
            # Anybody may send one: it is no error of the bot, which would be reported each time.
            log.info("a click could not be read: %s", type(error).__name__)
            return Reply(400, "The click could not be read.")
        return Reply(answer.status, answer.json, "application/json" if answer.json else _PLAIN)

    def _answer_page(self, name: str) -> Reply:
        page = self._pages.get(name)
        if page is None:
            return Reply(503, json.dumps({"status": "inactive"}), "application/json")
        try:
            return page()
        except Exception:  # any part of the bot may fail to say how it is
            log.exception("/sentry/%s could not be made", name)
            return Reply(500, "This page could not be made; the bot's log has the cause.")


def _content(body: Body, length: int | None) -> bytes | Reply:
    """The whole body, or the answer to one that cannot be read."""
    try:
        content = _read(body, length)
    except (OSError, ValueError) as error:  # chunks that are none; raised further, it would be an error of the bot
        log.info("the body of a request could not be read: %s", error)
        return Reply(400, "The body could not be read.")
    if content is None:
        return Reply(413, TOO_LARGE)
    if length is not None and len(content) < length:
        return Reply(400, "The body is shorter than its Content-Length.")
    return content


def _read(body: Body, length: int | None) -> bytes | None:
    """The whole body; None where it is too large."""
    if length is not None and length > LARGEST_BODY:
        _drain(body, length)
        return None
    # In pieces: some streams allocate the whole size before anything has come.
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
    """Read the rest of the body (`left` bytes, None for unknown) away, up to a bound."""
    if left is None or left <= LARGEST_DRAINED:
        drained = 0
        while drained < LARGEST_DRAINED and (piece := body.read(_PIECE)):
            drained += len(piece)
