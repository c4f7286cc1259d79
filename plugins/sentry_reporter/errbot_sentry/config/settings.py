"""All settings (see config_template.py), read once from Errbot's config module into one frozen object.

Reading never raises. Every mistake is collected as a sentence, and switches off the flows that need the setting.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote, urlsplit

from errbot_sentry.config import fields as values
from errbot_sentry.config.fallback_entries import FallbackEntry, secret_parts
from errbot_sentry.config.mistakes import (
    SAAS,
    Hint,
    Mistake,
    blind_rooms,
    environment_hints,
    hints_together,
    mistakes_together,
)
from errbot_sentry.config.routes import Route
from errbot_sentry.config.secrets import Secret, without_secrets
from errbot_sentry.config.settings_table import SETTINGS
from errbot_sentry.domain.access import Access


@dataclass(frozen=True)
class ReportSettings:
    """Reporting. Levels are numbers of the logging module; `repeat_seconds` and `spool_mb` may be 0 for off."""

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
    """The server that commands and alerts use. `url` has no trailing slash; `kind` may be "auto"."""

    url: str = SAAS
    kind: str = "auto"
    token: Secret = Secret("")
    org: str = ""


@dataclass(frozen=True)
class CommandSettings:
    """What the bot does besides answering commands: notes on who changed an issue, summaries of pasted links."""

    author_notes: bool = True
    unfurl: bool = True


@dataclass(frozen=True)
class AlertSettings:
    """Alerting. `listen` is (host, port) of our own listener, None for Errbot's web server.

    `public_url` is the public address of that web server, without a trailing slash; "" if unknown. `poll_seconds` is 0
    for no polling. `server_url` and `org` are used to build the address of an issue whose alert has none.
    """

    routes: tuple[Route, ...] = ()
    webhook_secrets: tuple[Secret, ...] = ()
    webhook_tokens: tuple[Secret, ...] = ()
    listen: tuple[str, int] | None = None
    public_url: str = ""
    poll_seconds: float = 60
    fallback: tuple[FallbackEntry, ...] = ()
    server_url: str = ""
    org: str = ""


@dataclass(frozen=True)
class Settings:
    """All settings, the mistakes in them, and hints about odd ones.

    The database is at `state_url` or, if that is empty, in the SQLite file `state_file`. `patch_errbot` says whether
    Errbot may be changed (docs/errbot-patches.md). `canary` is how often the test event is sent, in seconds; 0: never.
    """

    report: ReportSettings = ReportSettings()
    server: ServerSettings = ServerSettings()
    access: Access = Access()
    commands: CommandSettings = CommandSettings()
    alerts: AlertSettings = AlertSettings()
    state_url: Secret = Secret("")
    state_file: Path = Path("sentry_reporter.sqlite3")
    data_dir: Path = Path()
    patch_errbot: bool = True
    canary: float = 0
    mistakes: tuple[Mistake, ...] = ()
    hints: tuple[Hint, ...] = ()

    def mistakes_of(self, flow: str) -> tuple[Mistake, ...]:
        """The mistakes that switch this flow off; empty if it may run."""
        return tuple(mistake for mistake in self.mistakes if flow in mistake.flows)

    def secrets(self) -> Iterator[Secret]:
        """All secrets, which no event may carry, wherever they turn up."""
        yield from (self.report.dsn, self.server.token, self.state_url)
        # A database driver may name the password alone, without the rest of the URL.
        yield Secret(unquote(urlsplit(self.state_url.reveal()).password or ""))
        yield from (*self.alerts.webhook_secrets, *self.alerts.webhook_tokens)
        urls = (url for entry in self.alerts.fallback for url in entry.urls)
        yield from (Secret(part) for url in urls for part in secret_parts(url))

    def with_rooms(self, name_of: Callable[[str], str]) -> Settings:
        """The same settings, with each room under the canonical name that `name_of` gives it on this chat network.

        Only then is it known which rooms of routes may see no project; the hints about these are added.
        """
        routes = tuple(
            replace(route, rooms=tuple(dict.fromkeys(map(name_of, route.rooms)))) for route in self.alerts.routes
        )
        access = self.access.with_rooms(name_of)
        return replace(
            self,
            alerts=replace(self.alerts, routes=routes),
            access=access,
            hints=(*self.hints, *blind_rooms(access, routes)),
        )


def read_settings(config: object, environ: Mapping[str, str], mode: str = "") -> Settings:
    """Settings from Errbot's config module (or any object with such attributes) and the process environment.

    `mode` is Errbot's name of the chat network's backend, such as "irc"; it determines the form of room names. If
    config.py leaves a secret empty, the environment variable of the same name is used.
    """
    found: dict[str, Any] = {}
    mistakes: list[Mistake] = []
    for setting in SETTINGS:
        name, reader, default = setting.name, setting.reader, setting.default
        raw = getattr(config, name, default)
        if setting.secret and not raw:
            raw = values.from_environment(name, environ) or default
        try:
            found[name] = reader(raw) if raw is not default else values.read_default(reader, default)
        except ValueError as error:
            # Errors in routes quote parts of the setting, which may contain secrets.
            mistakes.append(Mistake(name, without_secrets(str(error)), setting.flows))
            found[name] = values.read_default(reader, default)
    refused = {mistake.setting for mistake in mistakes}
    mistakes += mistakes_together(found, config, mode, refused)
    secret = {setting.name: setting.secret for setting in SETTINGS}
    hints = (*hints_together(found, config, mode), *environment_hints(config, environ, secret))
    return _assemble(config, found, tuple(mistakes), hints)


def _assemble(
    config: object, found: dict[str, Any], mistakes: tuple[Mistake, ...], hints: tuple[Hint, ...]
) -> Settings:
    # An absolute path, because any plugin may change the bot's working directory.
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
        commands=CommandSettings(found["SENTRY_AUTHOR_NOTES"], found["SENTRY_UNFURL"]),
        alerts=AlertSettings(
            routes=found["SENTRY_ALERTS"],
            webhook_secrets=found["SENTRY_WEBHOOK_SECRET"],
            webhook_tokens=found["SENTRY_WEBHOOK_TOKENS"],
            listen=found["SENTRY_WEBHOOK_LISTEN"],
            public_url=found["SENTRY_PUBLIC_URL"],
            poll_seconds=found["SENTRY_POLL_SECONDS"],
            fallback=found["SENTRY_FALLBACK"],
            server_url=found["SENTRY_URL"],
            org=found["SENTRY_ORG"],
        ),
        state_url=found["SENTRY_STATE_URL"],
        state_file=data_dir / "sentry_reporter.sqlite3",
        data_dir=data_dir,
        patch_errbot=found["SENTRY_PATCH_ERRBOT"],
        canary=found["SENTRY_CANARY"],
        mistakes=mistakes,
        hints=hints,
    )


def _report(found: dict[str, Any]) -> ReportSettings:
    # Older versions of Errbot only had SENTRY_LOGLEVEL, which was the level of events.
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
