"""Mistakes in the settings, which switch something off, and hints about odd settings, which do not.

`fields.py` checks each setting alone. The checks here find settings that are valid one by one, but wrong or odd
together, on this chat network, or with this server.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from errbot_sentry.config.matchers import reasons_of
from errbot_sentry.config.room_names import may_match_room, wrong_room
from errbot_sentry.config.routes import Route
from errbot_sentry.config.secrets import looks_secret, without_secrets
from errbot_sentry.domain.access import DIRECT, Access
from errbot_sentry.domain.conversation import Conversation

REPORT, QUERY, ALERTS = "report", "query", "alerts"


@dataclass(frozen=True)
class Mistake:
    """A setting that cannot be used: the reason in a sentence without secrets, and the flows that it switches off."""

    setting: str
    sentence: str
    flows: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.setting}: {self.sentence}"


@dataclass(frozen=True)
class Hint:
    """An odd setting that switches nothing off.

    `sentence` is for `!sentry status`, which everybody may read. `detail` is only for the admins and the log: it may
    contain projects that a room may not see, or folders of the machine.
    """

    sentence: str
    detail: str = ""

    def __str__(self) -> str:
        return self.sentence + self.detail


_SHORTEST_TOKEN = 16  # characters of a webhook's secret that nobody guesses
SAAS = "https://sentry.io"
_FOREIGN = ("SENTRY_TRANSPORT",)  # a deprecated setting of Errbot itself
_NEAR, _NEAR_ELSEWHERE = 0.75, 0.9  # required similarity to a setting: of names with our prefix, and of others


def mistakes_together(
    found: Mapping[str, Any], config: object, mode: str, refused: Container[str]
) -> Iterator[Mistake]:
    """Mistakes in values that are only wrong together with another setting, or on this chat network (`mode`).

    `found` has every setting's value by name. `refused` are the settings that are wrong on their own; their value in
    `found` is the default.
    """
    if found["BOT_LOG_SENTRY"] and not found["SENTRY_DSN"] and "SENTRY_DSN" not in refused:
        sentence = (
            "is empty, but BOT_LOG_SENTRY is True: give the DSN of the bot's project, or set BOT_LOG_SENTRY = False"
        )
        yield Mistake("SENTRY_DSN", sentence, (REPORT,))
    dsn = _server_of_dsn(found)
    # The token of another server must not go to sentry.io.
    if found["SENTRY_AUTH_TOKEN"] and not hasattr(config, "SENTRY_URL") and not is_saas(urlsplit(dsn).hostname):
        sentence = f"is not set, which means {SAAS}, but SENTRY_DSN is on another server; did you mean {dsn!r}?"
        yield Mistake("SENTRY_URL", sentence, (QUERY, ALERTS))
    known = _rooms_joined(config)
    wrong = [
        f"route {number}: {sentence}"
        for number, route in enumerate(found["SENTRY_ALERTS"], start=1)
        for room in route.rooms
        if (sentence := wrong_room(room, mode, known))
    ]
    if wrong:
        yield Mistake("SENTRY_ALERTS", without_secrets("; ".join(wrong)), (ALERTS,))


def hints_together(found: Mapping[str, Any], config: object, mode: str) -> Iterator[Hint]:
    """Hints: unknown names, settings and routes without effect, different servers, rooms that match nothing, and
    webhooks' secrets that can be guessed."""
    yield from _unknown_names(config, tuple(found))
    if found["SENTRY_FALLBACK"] and find_spec("apprise") is None:
        yield Hint("SENTRY_FALLBACK has no effect: the package apprise is not installed; run pip install apprise")
    if found["SENTRY_CANARY"] and not (found["BOT_LOG_SENTRY"] and found["SENTRY_DSN"]):
        yield Hint("SENTRY_CANARY has no effect without BOT_LOG_SENTRY = True and SENTRY_DSN")
    url, dsn = urlsplit(found["SENTRY_URL"]), urlsplit(_server_of_dsn(found))
    if hasattr(config, "SENTRY_URL") and found["SENTRY_AUTH_TOKEN"] and dsn.hostname:
        if is_saas(url.hostname) and not is_saas(dsn.hostname):
            yield Hint(f"SENTRY_URL is {SAAS}, but SENTRY_DSN is on another server; did you mean {dsn.geturl()!r}?")
        elif url.hostname == dsn.hostname and url.path != dsn.path:
            yield Hint(f"SENTRY_URL and SENTRY_DSN have different paths; did you mean {dsn.geturl()!r}?")
    for room in found["SENTRY_ROOM_PROJECTS"]:
        if room != DIRECT and room.casefold() == DIRECT:
            yield Hint(f"SENTRY_ROOM_PROJECTS: did you mean {DIRECT!r}, in lower case?")
        elif room != DIRECT and not may_match_room(room, mode):
            sentence = wrong_room(room, mode, _rooms_joined(config))
            yield Hint(f"SENTRY_ROOM_PROJECTS: {without_secrets(sentence)}")
    yield from _useless_routes(found["SENTRY_ALERTS"])
    yield from _short_secrets(found)


def blind_rooms(access: Access, routes: Iterable[Route]) -> Iterator[Hint]:
    """Hints about rooms of routes that may see no project at all; rooms have the network's own names."""
    for number, route in enumerate(routes, start=1):
        for room in route.rooms:
            if not access.sees_anything(Conversation(room)):
                yield Hint(
                    f"SENTRY_ALERTS, route {number}: {without_secrets(repr(room))} gets nothing, because "
                    "SENTRY_ROOM_PROJECTS shows it no project"
                )


def _useless_routes(routes: tuple[Route, ...]) -> Iterator[Hint]:
    """Hints about routes that bring nothing. They quote no matcher, since everybody may read them."""
    for number, route in enumerate(routes, start=1):
        sentence = f"SENTRY_ALERTS, route {number} brings nothing"
        wanted = set(route.reasons) & set(reasons_of(route.matchers))
        first = next(
            (each for each, other in enumerate(routes[: number - 1], 1) if _takes_all(other, route, wanted)), 0
        )
        if not route.reasons:
            yield Hint(f'{sentence}: its "reasons" are empty')
        elif not wanted:
            yield Hint(f'{sentence}: "match" asks for a reason that is not in its "reasons"')
        elif first:
            yield Hint(
                f'{sentence}: route {first} takes all of its alerts; set "continue": True in route {first}, '
                f"or put route {number} in front"
            )


def _short_secrets(found: Mapping[str, Any]) -> Iterator[Hint]:
    for name in ("SENTRY_WEBHOOK_SECRET", "SENTRY_WEBHOOK_TOKENS"):
        if any(len(secret.reveal()) < _SHORTEST_TOKEN for secret in found[name]):
            # Not everybody should read that it can be guessed.
            detail = f" of {_SHORTEST_TOKEN} characters or more: whoever guesses it can send alerts"
            yield Hint(f"{name}: use a long random word", detail)


def _takes_all(first: Route, later: Route, reasons: set[str]) -> bool:
    """Whether every alert that the later route would bring to further rooms ends at the first route."""
    wants_all = set(first.matchers) <= set(later.matchers) and reasons <= set(first.reasons)
    return wants_all and not first.goes_on and not set(later.rooms) <= set(first.rooms)


def environment_hints(config: object, environ: Mapping[str, str], secret: Mapping[str, bool]) -> Iterator[Hint]:
    """Hints about environment variables that were probably meant as settings: only secrets are read from there.

    `secret` says for each setting whether it is a secret.
    """
    secrets = [name for name, is_secret in secret.items() if is_secret]
    for name in sorted(environ):
        near = get_close_matches(name, secrets, n=1, cutoff=_NEAR_ELSEWHERE)
        if name in secret and not secret[name] and not hasattr(config, name):
            yield Hint(f"{name} is not read from the environment; set it in config.py")
        elif name not in secret and near:
            yield Hint(f"{name} in the environment is not a setting; did you mean {near[0]}?")


def project_globs(access: Access, routes: Iterable[Route]) -> tuple[tuple[str, str], ...]:
    """Every glob of projects in the settings, with the setting that contains it."""
    wanted = [("SENTRY_PROJECTS", glob) for glob in access.projects]
    wanted += [
        (f"SENTRY_ROOM_PROJECTS, {room}", glob) for room, globs in access.room_projects.items() for glob in globs
    ]
    wanted += [
        (f"SENTRY_ALERTS, route {number}", matcher.value)
        for number, route in enumerate(routes, start=1)
        for matcher in route.matchers
        if (matcher.name, matcher.operator) == ("project", "=")
    ]
    return tuple(dict.fromkeys(wanted))


def unmatched_projects(access: Access, routes: Iterable[Route], slugs: Iterable[str]) -> Iterator[Hint]:
    """Hints about globs in the settings that match none of the server's projects."""
    slugs = tuple(slugs)
    for setting, glob in project_globs(access, routes):
        if any(fnmatchcase(slug.casefold(), glob.casefold()) for slug in slugs):
            continue
        near = get_close_matches(glob.casefold(), slugs, n=1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        sentence = without_secrets(f"{setting}: no project of the server matches {glob!r}")
        # If some projects are hidden from some rooms, not everybody may read their names.
        hidden = bool(access.projects or access.room_projects)
        yield Hint(sentence, meant) if hidden else Hint(sentence + meant)


def _unknown_names(config: object, names: tuple[str, ...]) -> Iterator[Hint]:
    for name in dir(config):
        if name in names or name in _FOREIGN or not name.isupper():
            continue
        ours = name.startswith(("SENTRY_", "BOT_LOG_SENTRY"))
        near = get_close_matches(name, names, n=1, cutoff=_NEAR if ours else _NEAR_ELSEWHERE)
        if near:
            yield Hint(f"{name} is not a setting; did you mean {near[0]}?")
        elif ours:
            yield Hint(f"{name} is not a setting and has no effect")


def is_saas(host: str | None) -> bool:
    """Whether this host is sentry.io or a subdomain of it (a region or an organization), or empty."""
    return not host or host == "sentry.io" or host.endswith(".sentry.io")


def _server_of_dsn(found: Mapping[str, Any]) -> str:
    """The address of the DSN's server, without key and project; "" if there is none, or it looks like a secret."""
    parts = urlsplit(found["SENTRY_DSN"].reveal())
    address = parts.netloc.rpartition("@")[2] + parts.path.rstrip("/").rpartition("/")[0]
    return f"{parts.scheme}://{address}" if address and not looks_secret(address) else ""


def _rooms_joined(config: object) -> tuple[str, ...]:
    """The rooms in CHATROOM_PRESENCE, whose items are rooms or pairs of a room and its password."""
    rooms = getattr(config, "CHATROOM_PRESENCE", ())
    names = (room[0] if isinstance(room, (tuple, list)) and room else room for room in rooms or ())
    return tuple(name for name in names if isinstance(name, str))
