"""All settings (config_template.py shows them), parsed once from Errbot's config module into one frozen object.

Reading never raises: every mistake is collected as a sentence, and switches off the flow that it belongs to.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any

from errbot_sentry.config import fields as values
from errbot_sentry.config.routes import Route
from errbot_sentry.config.secrets import Secret, without_secrets
from errbot_sentry.domain.access import Access

REPORT, QUERY, ALERTS = "report", "query", "alerts"
FLOWS = (REPORT, QUERY, ALERTS)


@dataclass(frozen=True)
class Mistake:
    """A setting that cannot be used, in one sentence without secrets, and the flows that it switches off."""

    setting: str
    sentence: str
    flows: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.setting}: {self.sentence}"


@dataclass(frozen=True)
class ReportSettings:
    """Flow 1. Levels are numbers of the logging module; `repeat_seconds` and `spool_mb` may be 0 for off."""

    enabled: bool = False
    dsn: Secret = Secret("")
    breadcrumb_level: int = logging.INFO
    event_level: int = logging.ERROR
    options: Mapping[str, Any] = field(default_factory=dict)
    flask: bool = False
    chat_text: str = "scrub"
    spool_mb: float = 50
    repeat_seconds: float = 60


@dataclass(frozen=True)
class ServerSettings:
    """The server of flows 2 and 3. `url` has no trailing slash; `kind` may be "auto"."""

    url: str = "https://sentry.io"
    kind: str = "auto"
    token: Secret = Secret("")
    org: str = ""


@dataclass(frozen=True)
class QuerySettings:
    """Flow 2."""

    author_notes: bool = True
    unfurl: bool = True


@dataclass(frozen=True)
class AlertSettings:
    """Flow 3. `listen` is (host, port) of the own listener or None for Errbot's web server; `poll_seconds` 0: never.

    `public_url` is where others reach either of them, without a trailing slash; "" where it is not known.
    """

    routes: tuple[Route, ...] = ()
    webhook_secrets: tuple[Secret, ...] = ()
    webhook_tokens: tuple[Secret, ...] = ()
    listen: tuple[str, int] | None = None
    public_url: str = ""
    poll_seconds: float = 60


@dataclass(frozen=True)
class Settings:
    """Everything that the operator decided. `hints` are oddities that switch nothing off.

    The state is at `state_url`, or where that is empty, in the SQLite file `state_file`. `patch_errbot` says whether
    Errbot may be changed (docs/errbot-patches.md).
    """

    report: ReportSettings = ReportSettings()
    server: ServerSettings = ServerSettings()
    access: Access = Access()
    query: QuerySettings = QuerySettings()
    alerts: AlertSettings = AlertSettings()
    state_url: Secret = Secret("")
    state_file: Path = Path("sentry_reporter.sqlite3")
    data_dir: Path = Path()
    patch_errbot: bool = True
    mistakes: tuple[Mistake, ...] = ()
    hints: tuple[str, ...] = ()

    def mistakes_of(self, flow: str) -> tuple[Mistake, ...]:
        """The mistakes that switch this flow off; empty when it may run."""
        return tuple(mistake for mistake in self.mistakes if flow in mistake.flows)

    def with_rooms(self, name_of: Callable[[str], str]) -> Settings:
        """The same, with each room under the one name that the chat network has for it."""
        routes = (replace(route, rooms=tuple(dict.fromkeys(map(name_of, route.rooms)))) for route in self.alerts.routes)
        return replace(
            self,
            alerts=replace(self.alerts, routes=tuple(routes)),
            access=self.access.with_rooms(name_of),
        )


# Setting, reader, what stands for "not set", and the flows that a wrong value switches off.
_TABLE: tuple[tuple[str, values.Reader, Any, tuple[str, ...]], ...] = (
    ("BOT_LOG_SENTRY", values.flag, False, (REPORT,)),
    ("SENTRY_DSN", values.dsn, "", (REPORT,)),
    ("SENTRY_LOGLEVEL", values.level, None, (REPORT,)),
    ("SENTRY_EVENTLEVEL", values.level, None, (REPORT,)),
    ("SENTRY_OPTIONS", values.options, {}, (REPORT,)),
    ("BOT_LOG_SENTRY_FLASK", values.flag, False, (REPORT,)),
    ("SENTRY_CHAT_TEXT", values.one_of("send", "scrub", "drop"), "scrub", (REPORT,)),
    ("SENTRY_SPOOL_MB", values.amount, 50, (REPORT,)),
    ("SENTRY_REPEAT_SECONDS", values.amount, 60, (REPORT,)),
    ("SENTRY_URL", values.base_url, "https://sentry.io", (QUERY, ALERTS)),
    ("SENTRY_SERVER", values.one_of("auto", "sentry", "glitchtip", "bugsink"), "auto", (QUERY, ALERTS)),
    ("SENTRY_AUTH_TOKEN", values.token, "", (QUERY, ALERTS)),
    ("SENTRY_ORG", values.slug, "", (QUERY, ALERTS)),
    ("SENTRY_PROJECTS", values.texts, (), (QUERY, ALERTS)),
    ("SENTRY_ROOM_PROJECTS", values.room_projects, {}, (QUERY, ALERTS)),
    ("SENTRY_WRITERS", values.texts, None, (QUERY, ALERTS)),
    ("SENTRY_AUTHOR_NOTES", values.flag, True, (QUERY,)),
    ("SENTRY_UNFURL", values.flag, True, (QUERY,)),
    ("SENTRY_ALERTS", values.routes, [], (ALERTS,)),
    ("SENTRY_WEBHOOK_SECRET", values.secrets, (), (ALERTS,)),
    ("SENTRY_WEBHOOK_TOKENS", values.path_tokens, (), (ALERTS,)),
    ("SENTRY_WEBHOOK_LISTEN", values.listen, None, (ALERTS,)),
    ("SENTRY_PUBLIC_URL", values.public_url, "", (ALERTS,)),
    ("SENTRY_POLL_SECONDS", values.interval, 60, (ALERTS,)),
    ("SENTRY_STATE_URL", values.state_url, "", (ALERTS,)),
    ("SENTRY_PATCH_ERRBOT", values.flag, True, ()),
)
NAMES = tuple(row[0] for row in _TABLE)
_SECRETS = ("SENTRY_DSN", "SENTRY_AUTH_TOKEN", "SENTRY_WEBHOOK_SECRET", "SENTRY_WEBHOOK_TOKENS", "SENTRY_STATE_URL")
_FOREIGN = ("SENTRY_TRANSPORT",)  # Errbot's own, deprecated there


def read_settings(config: object, environ: Mapping[str, str]) -> Settings:
    """Settings from Errbot's config module (or any object with such attributes) and the process environment.

    A secret that config.py leaves empty may come from the environment variable of the same name.
    """
    found: dict[str, Any] = {}
    mistakes: list[Mistake] = []
    for name, reader, default, flows in _TABLE:
        raw = getattr(config, name, default)
        if name in _SECRETS and not raw:
            raw = values.from_environment(name, environ) or default
        try:
            found[name] = reader(raw) if raw is not default else values.read_default(reader, default)
        except ValueError as error:
            # Routes quote what they do not understand, piece by piece.
            mistakes.append(Mistake(name, without_secrets(str(error)), flows))
            found[name] = values.read_default(reader, default)
    mistakes += _across(found)
    return _assemble(config, found, tuple(mistakes))


def _across(found: dict[str, Any]) -> list[Mistake]:
    """Mistakes that only two settings together make."""
    mistakes = []
    if found["BOT_LOG_SENTRY"] and not found["SENTRY_DSN"]:
        sentence = (
            "is empty, but BOT_LOG_SENTRY is True: give the DSN of the bot's project, or set BOT_LOG_SENTRY = False"
        )
        mistakes.append(Mistake("SENTRY_DSN", sentence, (REPORT,)))
    return mistakes


def _assemble(config: object, found: dict[str, Any], mistakes: tuple[Mistake, ...]) -> Settings:
    # Absolute: a plugin may change the working directory of the whole bot.
    data_dir = Path(str(getattr(config, "BOT_DATA_DIR", "."))).absolute()
    admins = getattr(config, "BOT_ADMINS", ())
    writers = found["SENTRY_WRITERS"]
    return Settings(
        report=_report(found),
        server=ServerSettings(
            found["SENTRY_URL"], found["SENTRY_SERVER"], found["SENTRY_AUTH_TOKEN"], found["SENTRY_ORG"]
        ),
        access=Access(
            projects=found["SENTRY_PROJECTS"],
            room_projects=found["SENTRY_ROOM_PROJECTS"],
            writers=tuple(map(str, admins)) if writers is None and not isinstance(admins, str) else (writers or ()),
        ),
        query=QuerySettings(found["SENTRY_AUTHOR_NOTES"], found["SENTRY_UNFURL"]),
        alerts=AlertSettings(
            routes=found["SENTRY_ALERTS"],
            webhook_secrets=found["SENTRY_WEBHOOK_SECRET"],
            webhook_tokens=found["SENTRY_WEBHOOK_TOKENS"],
            listen=found["SENTRY_WEBHOOK_LISTEN"],
            public_url=found["SENTRY_PUBLIC_URL"],
            poll_seconds=found["SENTRY_POLL_SECONDS"],
        ),
        state_url=found["SENTRY_STATE_URL"],
        state_file=data_dir / "sentry_reporter.sqlite3",
        data_dir=data_dir,
        patch_errbot=found["SENTRY_PATCH_ERRBOT"],
        mistakes=mistakes,
        hints=_hints(config),
    )


def _report(found: dict[str, Any]) -> ReportSettings:
    # Older Errbot knew only SENTRY_LOGLEVEL, and meant by it the level of events.
    event_level = found["SENTRY_EVENTLEVEL"]
    breadcrumb_level = found["SENTRY_LOGLEVEL"]
    if event_level is None:
        event_level = logging.ERROR if breadcrumb_level is None else breadcrumb_level
        breadcrumb_level = None
    return ReportSettings(
        enabled=found["BOT_LOG_SENTRY"],
        dsn=found["SENTRY_DSN"],
        breadcrumb_level=logging.INFO if breadcrumb_level is None else breadcrumb_level,
        event_level=event_level,
        options=MappingProxyType(found["SENTRY_OPTIONS"]),
        flask=found["BOT_LOG_SENTRY_FLASK"],
        chat_text=found["SENTRY_CHAT_TEXT"],
        spool_mb=found["SENTRY_SPOOL_MB"],
        repeat_seconds=found["SENTRY_REPEAT_SECONDS"],
    )


def _hints(config: object) -> tuple[str, ...]:
    known = {*NAMES, *_FOREIGN}
    hints = []
    for name in dir(config):
        if not name.startswith("SENTRY_") or name in known:
            continue
        near = get_close_matches(name, NAMES, n=1)
        hints.append(f"{name} is not a setting" + (f"; did you mean {near[0]}?" if near else " and has no effect"))
    return tuple(hints)
