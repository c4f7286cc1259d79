"""Maps the HTTP status of a failed call to one of our errors, with a sentence that says what to do.

The sentences name the server's host and settings, but never a token, a URL with secrets, or the server's own message
(which is in `ServerError.detail`). Sources: sentry-docs `docs/api/{auth,ratelimits}.mdx`; for the 429 body that is a
bare string, Sentry's `middleware/ratelimit.py`; GlitchTip's lists with 422 and Bugsink's details as measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from errbot_sentry.domain.errors import (
    BadAnswer,
    BadQuery,
    BadToken,
    MissingScope,
    NotFound,
    RateLimited,
    ServerError,
    ServerFailed,
    TimedOut,
)

_LONGEST_DETAIL = 300
_SHORTEST_WAIT, _LONGEST_WAIT = 1.0, 3600.0
_LONGEST_IN_SECONDS = 120
_SEAT_LIMIT = "member-disabled-over-limit"

OUTCOME_UNKNOWN = " The change may have been made: look before you repeat it."


_BY_STATUS: dict[int, tuple[type[ServerError], str]] = {
    401: (BadToken, "{host} refused the token (401): check SENTRY_AUTH_TOKEN in config.py."),
    403: (
        MissingScope,
        (
            "{host} does not allow SENTRY_AUTH_TOKEN to do this (403): give it event:read, project:read, org:read, "
            "and event:write for changes (on Bugsink the issues:, events: and projects: rights), and the project."
        ),
    ),
    404: (NotFound, "{host} has no {what} that SENTRY_AUTH_TOKEN may see (404)."),
    405: (NotFound, "{host} does not offer this (405): its version and this plugin are not compatible."),
    408: (TimedOut, "{host} took too long (408): try again."),
    410: (NotFound, "{host} no longer offers this (410): its version and this plugin are not compatible."),
    429: (RateLimited, "{host}: rate limit reached (429). Try again {when}."),
}
_SERVER_SIDE = (ServerFailed, "{host} failed on its side ({status}): try again in a while.")
_REFUSED = (BadQuery, "{host} does not accept this request ({status}).")
_NO_SEAT = (
    BadToken,
    (
        "{host} has switched off the account of SENTRY_AUTH_TOKEN, because the plan has no seat for it (401): "
        "use the token of an internal integration."
    ),
)


def of_status(
    host: str, status: int, headers: Mapping[str, str], body: Any, *, method: str, what: str, now: datetime
) -> ServerError:
    """The error for an answer with a status of 400 or more.

    Args:
        headers: the answer's headers, with lower-case names.
        body: the decoded body, or None if it is not JSON.
        what: the name of the thing that was read or changed, for the sentence ("issue 12"). Our own words only.
    """
    detail = detail_of(body)
    wait = wait_of(headers, now) if status in (429, 503) else None
    kind, sentence = _BY_STATUS.get(status, _SERVER_SIDE if status >= 500 else _REFUSED)
    if status == 401 and _SEAT_LIMIT in detail:
        kind, sentence = _NO_SEAT
    text = sentence.format(host=host, status=status, what=what, when=_when(wait))
    if method != "GET" and status >= 500:
        text += OUTCOME_UNKNOWN
    return kind(text, wait, status=status, detail=detail)


def _when(wait: float | None) -> str:
    if wait is None:
        return "in a minute"
    return f"in {math.ceil(wait)} s" if wait <= _LONGEST_IN_SECONDS else f"in {math.ceil(wait / 60)} minutes"


def check_content_type(host: str, headers: Mapping[str, str]) -> None:
    """Refuse answers that are not JSON. A login page is HTML with status 200, and so are unknown paths of GlitchTip.

    Raises:
        BadAnswer: the answer is not JSON.
    """
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == "application/json" or content_type.endswith("+json"):
        return
    if content_type == "text/html":
        raise BadAnswer(
            f"{host} answered with a web page, perhaps its login page, instead of its API: "
            "check SENTRY_URL, SENTRY_ORG and SENTRY_AUTH_TOKEN in config.py."
        )
    raise BadAnswer(f"{host} did not answer with JSON: check SENTRY_URL in config.py.")


def wait_of(headers: Mapping[str, str], now: datetime) -> float | None:
    """The seconds that the server asks us to wait, None if it does not say.

    Read from `Retry-After`, in seconds or as a date (RFC 9110, 10.2.3), or from `X-Sentry-Rate-Limit-Reset` in Unix
    time, which Sentry's own 429 has instead. The result is at most an hour, and at least a second: if our clock is
    ahead, the reset is in the past.
    """
    retry_after = headers.get("retry-after", "").strip()
    reset = headers.get("x-sentry-rate-limit-reset", "").strip()
    seconds: float | None = None
    if retry_after.isdecimal():
        seconds = float(retry_after[:9])
    elif retry_after:
        seconds = _until(retry_after, now)
    elif reset.isdecimal():
        seconds = float(reset[:12]) - now.timestamp()
    return None if seconds is None else min(max(seconds, _SHORTEST_WAIT), _LONGEST_WAIT)


def _until(date: str, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
    except (TypeError, ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return (moment - now).total_seconds()


def detail_of(body: Any) -> str:
    """The server's own message in an error body, on one line and cut. It is foreign text: escape it before display.

    Known bodies: `{"detail": text}`, `{"detail": {"code", "message"}}`, `{"detail": [...]}` (GlitchTip's 422),
    `{"message": text}`, a mapping from fields to lists of texts, and a bare text (Sentry's 429).
    """
    words = " ".join(_words(body, 3))
    return " ".join(words.encode("utf-8", "replace").decode().split())[:_LONGEST_DETAIL]


def _words(value: Any, depth: int) -> list[str]:
    if isinstance(value, str):
        return [value[:_LONGEST_DETAIL]]
    if depth == 0:
        return []
    if isinstance(value, dict):
        messages = [value[key] for key in ("code", "detail", "message", "msg") if value.get(key)]
        if messages:
            return [word for message in messages for word in _words(message, depth - 1)]
        fields = [(str(key)[:50], item) for key, item in list(value.items())[:5]]
        return [f"{key}: {word}" for key, item in fields for word in _words(item, depth - 1)]
    if isinstance(value, list):
        return [word for part in value[:5] for word in _words(part, depth - 1)]
    return []
