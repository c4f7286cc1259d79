"""Readers of single settings: each takes the value in config.py and returns the checked value, or raises ValueError.

The error says what was expected and what kind of value was found. It never quotes a string: that could be a token in
the wrong place, and everybody can read the sentence in `!sentry status`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import urlsplit

from errbot_sentry.config.fallback_entries import FallbackEntry, read_fallback_entry
from errbot_sentry.config.routes import Route, read_route
from errbot_sentry.config.sdk_options import wrong_option
from errbot_sentry.config.secrets import Secret, is_known_token, looks_secret, mask, mask_url, shape, type_of
from errbot_sentry.domain.access import DIRECT
from errbot_sentry.domain.text import read_duration

Reader = Callable[[Any], Any]
T = TypeVar("T")

_LEVEL_NAMES = {name: getattr(logging, name) for name in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")}
_HOST = re.compile(r"[A-Za-z0-9._:%-]{0,253}")
_PAGES = {"api": "the API"} | dict.fromkeys(
    ("organizations", "issues", "settings", "projects", "auth", "login", "accounts", "dashboards"), "a page"
)
_PATH_TOKEN = re.compile(r"[A-Za-z0-9._~-]+")


def read_default(reader: Reader, default: Any) -> Any:
    """The checked value of a default. None stays None; `read_settings` then decides."""
    return None if default is None else reader(default)


def from_environment(name: str, environ: Mapping[str, str]) -> Any:
    """A secret from the environment, where commas separate the items of a list."""
    text = environ.get(name, "").strip()
    if name in ("SENTRY_WEBHOOK_SECRET", "SENTRY_WEBHOOK_TOKENS"):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return text


def flag(value: Any) -> bool:
    """True or False, and nothing else: the string "False" would count as true."""
    if not isinstance(value, bool):
        raise ValueError(f"expected True or False, got {shape(value)}")
    return value


def amount(value: Any) -> float:
    """A number of 0 or more."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
        raise ValueError(f"expected a number, 0 or more, got {shape(value)}")
    return value


def interval(value: Any) -> float:
    """Seconds between two polls of the server: 0 for never, else one or more, so that no typo floods it."""
    seconds = amount(value)
    if 0 < seconds < 1:
        raise ValueError(f"expected 0 for never, or 1 or more seconds, got {shape(value)}")
    return seconds


def pause(value: Any) -> float:
    """The seconds of a duration such as "15m", at least a minute; 0 (never) for an empty string."""
    form = f'expected a duration of a minute or more such as "15m", or "" for never, got {shape(value)}'
    if not isinstance(value, str):
        raise ValueError(form)
    try:
        seconds = read_duration(value).total_seconds() if value.strip() else 0.0
    except ValueError as error:
        raise ValueError(form) from error
    if 0 < seconds < 60:
        raise ValueError(form)
    return seconds


def level(value: Any) -> int:
    """A level of the logging module, as number or name."""
    if isinstance(value, str) and value.upper() in _LEVEL_NAMES:
        return int(_LEVEL_NAMES[value.upper()])
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"expected a logging level such as logging.ERROR, got {shape(value)}")
    return value


def options(value: Any) -> dict[str, Any]:
    """Further options of `sentry_sdk.init`, except for the DSN, which has its own setting."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ValueError(f'expected a dict such as {{"environment": "production"}}, got {type_of(value)}')
    if "dsn" in value:
        raise ValueError('contains "dsn"; use SENTRY_DSN instead')
    wrong = wrong_option(value)
    if wrong:
        raise ValueError(wrong)
    return dict(value)


def one_of(*words: str) -> Reader:
    """A reader for one of a few names, in any case."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or value.strip().lower() not in words:
            near = get_close_matches(value.strip().lower()[:40], words, n=1) if isinstance(value, str) else []
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"expected one of {', '.join(map(repr, words))}, got {shape(value)}{hint}")
        return value.strip().lower()

    return read


def dsn(value: Any) -> Secret:
    """A DSN, `https://PUBLIC_KEY@host/PROJECT`; empty for none."""
    form = "a DSN such as https://PUBLIC_KEY@sentry.example.com/1"
    if not isinstance(value, str):
        raise ValueError(f"expected {form}, got {type_of(value)}")
    text = value.strip()
    if not text:
        return Secret("")
    parts = _split(text, form)
    if parts.scheme not in ("http", "https") or not parts.username or not parts.hostname:
        raise ValueError(f"expected {form}, got {shape(text)}")
    if not parts.path.rstrip("/").rpartition("/")[2]:
        raise ValueError(f"expected {form}, got {mask_url(text)!r}, which has no project at its end")
    return Secret(text)


def base_url(value: Any) -> str:
    """The server's base URL, without a trailing slash."""
    form = "the server's address such as https://sentry.example.com"
    if not isinstance(value, str):
        raise ValueError(f"expected {form}, got {shape(value)}")
    text = value.strip().rstrip("/")
    parts = _split(text, form)
    if parts.username or parts.password:
        raise ValueError("has a user or password in it; put the token into SENTRY_AUTH_TOKEN and leave the URL plain")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"expected {form}, got {shape(value)}")
    # Cloud providers' host names contain long numbers, so names with dots are only checked for known tokens.
    odd_host = is_known_token(parts.netloc) if "." in parts.netloc else looks_secret(parts.netloc)
    if odd_host or looks_secret(parts.path):
        raise ValueError(f"contains what could be a token, which belongs in SENTRY_AUTH_TOKEN; expected {form}")
    # Any other path is accepted, because the server may be installed below it.
    page = next((segment for segment in parts.path.split("/") if segment in _PAGES), "")
    if page or (parts.path and parts.netloc == "sentry.io"):
        bare = f"{parts.scheme}://{parts.netloc}"
        raise ValueError(f"is the address of {_PAGES.get(page, 'a page')}; did you mean {bare!r}, without the path?")
    return text


def public_url(value: Any) -> str:
    """The public address of the bot's web server, without a trailing slash; "" for none."""
    form = "the address at which others reach the bot, such as https://bot.example.com"
    if not isinstance(value, str):
        raise ValueError(f"expected {form}, got {shape(value)}")
    text = value.strip().rstrip("/")
    parts = _split(text, form)
    if text and (parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"[@?#\s]", text)):
        raise ValueError(f"expected {form}, got {shape(value)}")
    return text


def _split(text: str, form: str) -> Any:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"expected {form}, got {mask(text)!r}") from error
    return parts


def token(value: Any) -> Secret:
    """An API token: printable characters without spaces; empty for none."""
    if not isinstance(value, str):
        raise ValueError(f"expected the token as a string, got {type_of(value)}")
    text = value.strip()
    if text.lower().startswith("bearer "):
        raise ValueError('begins with "Bearer"; expected the token alone')
    if not text.isascii() or any(ch.isspace() or not ch.isprintable() for ch in text):
        raise ValueError(f"expected the token alone, got {mask(text)!r} with a space or an unusual character")
    return Secret(text)


def slug(value: Any) -> str:
    """An organization slug; empty for none."""
    if not isinstance(value, str) or not re.fullmatch(r"[\w.-]*", value.strip()):
        raise ValueError(f"expected the organization's slug, as in its URL, got {shape(value)}")
    if looks_secret(value):
        raise ValueError("could be a token, which belongs in SENTRY_AUTH_TOKEN; expected the organization's slug")
    return value.strip()


def texts(value: Any) -> tuple[str, ...]:
    """A tuple or list of strings. A lone string is a mistake: each of its letters would count as an item."""
    if isinstance(value, str):
        raise ValueError(f'expected a tuple such as ("web-*",), with its comma, got {shape(value)}')
    if not isinstance(value, (tuple, list, set, frozenset)) or not all(isinstance(x, str) and x.strip() for x in value):
        raise ValueError(f"expected a tuple of strings, got {shape(value)}")
    return tuple(value)


def room_projects(value: Any) -> Mapping[str, tuple[str, ...]]:
    """A mapping from a room's glob, or "direct", to globs of projects."""
    if not isinstance(value, Mapping):
        form = f'a dict such as {{"#web": ["web-*"], "{DIRECT}": ["*"]}}'
        raise ValueError(f"expected {form}, got {shape(value)}")
    read = {}
    for room, projects in value.items():
        if not isinstance(room, str) or not room.strip():
            raise ValueError(f"expected a string for a room, got {shape(room)}")
        try:
            read[room] = texts(projects)
        except ValueError as error:
            raise ValueError(f"for {room!r} {error}") from error
    return MappingProxyType(read)


def routes(value: Any) -> tuple[Route, ...]:
    """All routes of `SENTRY_ALERTS`. The error names every wrong one by its number."""
    return _each(value, read_route, "route", 'a list of routes such as [{"rooms": ["#ops"]}]')


def fallback(value: Any) -> tuple[FallbackEntry, ...]:
    """All entries of `SENTRY_FALLBACK`. The error names every wrong one by its number."""
    return _each(value, read_fallback_entry, "entry", 'a list such as [{"urls": ["ntfys://…"], "after": "5m"}]')


def _each(value: Any, read_one: Callable[[object], T], noun: str, form: str) -> tuple[T, ...]:
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"expected {form}, got {shape(value)}")
    read, wrong = [], []
    for number, raw in enumerate(value, start=1):
        try:
            read.append(read_one(raw))
        except ValueError as error:
            wrong.append(f"{noun} {number}: {error}")
    if wrong:
        raise ValueError("; ".join(wrong))
    return tuple(read)


def secrets(value: Any) -> tuple[Secret, ...]:
    """One secret, or several while a secret is being rotated."""
    several = (value,) if isinstance(value, str) else value
    if not isinstance(several, (tuple, list)) or not all(isinstance(item, str) for item in several):
        raise ValueError(f"expected a string, or a tuple of strings while rotating, got {type_of(value)}")
    return tuple(Secret(item.strip()) for item in several if item.strip())


def path_tokens(value: Any) -> tuple[Secret, ...]:
    """Secret parts of webhook URLs: only letters, digits and . _ ~ - so that no URL has to escape them."""
    if not isinstance(value, (tuple, list)) or not all(isinstance(item, str) for item in value):
        raise ValueError(f'expected a tuple such as ("a-long-random-word",), got {type_of(value)}')
    read = secrets(value)
    for number, item in enumerate(read, start=1):
        if not _PATH_TOKEN.fullmatch(item.reveal()):
            raise ValueError(f"number {number} has characters other than letters, digits and . _ ~ -")
    return read


def listen(value: Any) -> tuple[str, int] | None:
    """(host, port) of our own web listener; None to use Errbot's web server."""
    if value is None:
        return None
    if (
        not isinstance(value, (tuple, list))
        or len(value) != 2
        or not isinstance(value[0], str)
        or not _HOST.fullmatch(value[0])
        or looks_secret(value[0])
        or isinstance(value[1], bool)
        or not isinstance(value[1], int)
        or not 0 <= value[1] <= 65535
    ):
        raise ValueError(f'expected (host, port) such as ("127.0.0.1", 3142), or None, got {shape(value)}')
    return value[0], value[1]


_ESCAPES = 'write "/", "?", "#" and "@" in a password as %2F, %3F, %23 and %40'


def state_url(value: Any) -> Secret:
    """An SQLAlchemy URL; empty for the SQLite file in BOT_DATA_DIR."""
    form = "a URL such as postgresql+psycopg://user:password@host/database"
    if not isinstance(value, str):
        raise ValueError(f"expected {form}, got {type_of(value)}")
    text = value.strip()
    if text and not re.match(r"(sqlite|postgresql)(\+\w+)?://", text):
        raise ValueError(f"expected {form}, got {mask_url(text) if '://' in text else shape(text)}")
    try:
        netloc = _split(text, form).netloc
    except ValueError as error:
        raise ValueError(f"{error}; {_ESCAPES}") from error
    # With another @, the library takes a part of the password for the host, and quotes it.
    if not text.startswith("sqlite") and text.count("@") > int("@" in netloc):
        raise ValueError(f"expected {form}, got one with an @ too many, or with / or ? in front of it; {_ESCAPES}")
    return Secret(text)
