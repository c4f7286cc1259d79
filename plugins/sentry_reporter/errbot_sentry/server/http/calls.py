"""The parts of a call to the server that need no HTTP library: limits, paths, answers, counts, and cursors of pages.

Sentry and GlitchTip send cursors in a `Link` header, Bugsink in the body.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from errbot_sentry.domain.clock import backoff
from errbot_sentry.domain.errors import BadQuery, RateLimited, ServerError, ServerFailed, Unreachable

Query = Sequence[tuple[str, str]]

# The header is searched, and not split, because GlitchTip prints it as a Python set: `{'<…>; rel="next"; …'}`.
_LINK = re.compile(r"<[^<>]*>((?:\s*;\s*\w+=\"[^\"]*\")+)")
_ATTRIBUTE = re.compile(r"(\w+)=\"([^\"]*)\"")


@dataclass(frozen=True)
class Limits:
    """The limits of a call: seconds, bytes, and how often a reading call is tried.

    A call that got a 429 is only tried again if the server asks to wait for at most `longest_wait`.
    """

    connect: float = 3.05
    read: float = 10.0
    total: float = 15.0
    bytes: int = 10_000_000
    tries: int = 3
    first_pause: float = 0.2
    longest_wait: float = 3.0


@dataclass(frozen=True)
class ApiAnswer:
    """A successful answer: its JSON (None for an empty body) and its headers by lower-case name."""

    json: Any
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Exchange:
    """One request and its result, for metrics and traces; `path` is the template, without ids or slugs.

    `status` is None if no answer came. `error` is the name of the error's class, or "". `seconds` is the duration.
    """

    method: str
    path: str
    status: int | None
    seconds: float
    error: str = ""


Observer = Callable[[Exchange], None]
"""Called after every request, in the thread that made it. It must not raise."""


def fill(path: str, parts: Mapping[str, str]) -> str:
    """The path with its parts filled in. Each is quoted completely, so that no part can change the others.

    Raises:
        BadQuery: a part is empty, or is "." or "..", which have a meaning in URLs.
    """
    for part in parts.values():
        if part in ("", ".", ".."):
            raise BadQuery(f"{part!r} isn't a valid name or id.")
    return path.format(**{name: quote(part, safe="", errors="replace") for name, part in parts.items()})


def pause_before_retry(error: ServerError, attempt: int, limits: Limits) -> float | None:
    """Seconds to wait before a reading call is tried again; None if that is useless or would take too long."""
    if isinstance(error, RateLimited):
        return error.wait if error.wait is not None and error.wait <= limits.longest_wait else None
    broken = isinstance(error, Unreachable) or (isinstance(error, ServerFailed) and error.status in (502, 503, 504))
    return backoff(attempt, limits.first_pause, limits.longest_wait, factor=3.0) if broken else None


def link_cursors(header: str) -> tuple[str | None, str | None]:
    """The cursors of the next and the previous page, None if there is no such page.

    Sentry always sends both links, and only `results` says whether the page has anything (sentry-docs
    `docs/api/pagination.mdx`). GlitchTip leaves the cursor out if there is no such page.
    """
    cursors: dict[str, str] = {}
    for link in _LINK.finditer(header):
        attributes = dict(_ATTRIBUTE.findall(link[1]))
        if attributes.get("results") == "true" and attributes.get("cursor"):
            cursors.setdefault(attributes.get("rel", ""), attributes["cursor"])
    return cursors.get("next"), cursors.get("previous")


def body_cursor(url: object, base_url: str) -> str | None:
    """The cursor in a `next` or `previous` URL of Bugsink, None if there is none.

    The URL itself is never requested. A URL with another scheme, host or port is ignored.
    """
    if not isinstance(url, str):
        return None
    try:
        parts, base = urlsplit(url), urlsplit(base_url)
        if (parts.scheme, parts.hostname, parts.port) != (base.scheme, base.hostname, base.port):
            return None
    except ValueError:
        return None
    return next(iter(parse_qs(parts.query).get("cursor", [])), None)
