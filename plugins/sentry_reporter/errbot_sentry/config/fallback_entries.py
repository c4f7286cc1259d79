"""Reads the entries of `SENTRY_FALLBACK`: where notifications go that the chat network does not accept.

The addresses are Apprise URLs. They contain passwords and tokens, so no error sentence quotes one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import parse_qsl, unquote, urlsplit

from errbot_sentry.config.matchers import Matcher
from errbot_sentry.config.routes import read_entry, read_matchers, read_text
from errbot_sentry.config.secrets import Secret, shape
from errbot_sentry.domain.text import read_duration

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+]*)://\S")
SHORTEST_SECRET = 8  # a shorter part could be an ordinary word, which would then be masked everywhere
_EXAMPLE = '{"urls": ["mailto://user:password@example.com"], "match": ["level>=error"], "after": "5m"}'


@dataclass(frozen=True)
class FallbackEntry:
    """Addresses, the matchers of the notifications for them, and how long the chat network may take to accept one."""

    urls: tuple[Secret, ...]
    matchers: tuple[Matcher, ...] = ()
    after: timedelta = timedelta(minutes=5)


def read_fallback_entry(raw: object) -> FallbackEntry:
    """One entry of `SENTRY_FALLBACK`.

    Raises:
        ValueError: names every mistake, with its key, what was found and what was expected.
    """
    if not isinstance(raw, dict):
        raise ValueError(f"expected a dict such as {_EXAMPLE}, got {shape(raw)}")
    missing = "" if raw.get("urls") else '"urls" is missing: name at least one address of Apprise'
    return FallbackEntry(**read_entry(raw, _READERS, "an entry", missing))


def scheme_of(url: Secret) -> str:
    """The kind of service, such as `mailto`. No other part of an address may be shown."""
    scheme = _SCHEME.match(url.reveal())
    return scheme[1].lower() if scheme else ""


def secret_parts(url: Secret, shortest: int = SHORTEST_SECRET) -> Iterator[str]:
    """The address, and those of its parts that a service's library may log: password, tokens, topics."""
    text = url.reveal()
    yield text
    netloc, _, path = text.partition("://")[2].partition("?")[0].partition("/")
    user, _, host = netloc.rpartition("@")
    name, _, password = user.partition(":")
    query = [value for _, value in parse_qsl(urlsplit(text).query)]
    hosts = [part for part in host.split(":") if "." not in part]  # some services have tokens instead of a host
    parts = [password, name, *hosts, *re.split("[/:@]", path), *query]
    for part in parts:
        for spelling in {part, unquote(part)}:
            if len(spelling) >= shortest:
                yield spelling


def _urls(value: object) -> tuple[Secret, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"expected a list of Apprise's addresses, got {shape(value)}")
    urls = tuple(Secret(item.strip()) for item in value)
    wrong = [str(number) for number, url in enumerate(urls, start=1) if not scheme_of(url)]
    if wrong:
        raise ValueError(f"number {', '.join(wrong)} is not an address such as mailto://… or ntfys://…")
    return urls


def _after(value: object) -> timedelta:
    after = read_duration(read_text(value))
    if after < timedelta(seconds=1):
        raise ValueError("the shortest span is 1s")
    return after


_READERS = {"urls": ("urls", _urls), "match": ("matchers", read_matchers), "after": ("after", _after)}
