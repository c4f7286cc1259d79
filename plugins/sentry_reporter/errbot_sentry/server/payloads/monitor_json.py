"""Reads cron and uptime monitors from JSON.

Sources: for Sentry's cron monitors getsentry/sentry-api-schema, listOrganizationMonitors (`environments` is really a
list: getsentry/sentry `src/sentry/monitors/serializers.py`); for its uptime monitors
`src/sentry/uptime/endpoints/serializers.py`; for GlitchTip's `apps/uptime/schema.py`, which has neither a status nor
the time of the last check.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from errbot_sentry.domain.issues import Monitor, Project
from errbot_sentry.server.payloads.json_fields import Fields, objects

_FAILING = ("error", "missed_checkin", "timeout")
_UPTIME_STATES = {1: True, 2: False}
_STATE_WORDS: dict[bool | None, str] = {True: "up", False: "down"}


def read_cron_monitors(value: Any) -> Iterator[Monitor]:
    """A monitor for each environment of a cron monitor. One that never ran has no environment: its state is unknown.

    Raises:
        BadAnswer: the value is not a list.
    """
    for row in objects(value, "monitors"):
        config = row.fields("config")
        for place in [Fields(each) for each in row.rows("environments")] or [Fields(None)]:
            own, whole = place.line("status"), row.line("status")
            status = whole if whole == "disabled" else own or whole
            yield Monitor(
                kind="cron",
                id=row.line("id"),
                name=row.line("name", "slug"),
                project=row.fields("project").line("slug"),
                environment=place.line("name"),
                status=status,
                up=True if status == "ok" else False if status in _FAILING else None,
                schedule=_schedule(config.raw("schedule")),
                last=place.time("lastCheckIn"),
                next=place.time("nextCheckIn"),
            )


def read_uptime_monitors(value: Any) -> Iterator[Monitor]:
    """Sentry's uptime monitors.

    Raises:
        BadAnswer: the value is not a list.
    """
    for row in objects(value, "monitors"):
        status = row.line("status")
        up = _UPTIME_STATES.get(row.whole("uptimeStatus") or 0) if status != "disabled" else None
        yield Monitor(
            kind="uptime",
            id=row.line("id"),
            name=row.line("name", "url"),
            project=row.line("projectSlug"),
            environment=row.line("environment"),
            status=_STATE_WORDS.get(up, status),  # the server says "active" even of a monitor that fails
            up=up,
            schedule=_every(row.whole("intervalSeconds")),
            url=row.line("url"),
        )


def read_glitchtip_monitors(value: Any, projects: tuple[Project, ...], base_url: str) -> Iterator[Monitor]:
    """GlitchTip's uptime and heartbeat monitors; `base_url` has the organization.

    Raises:
        BadAnswer: the value is not a list.
    """
    slugs = {project.id: project.slug for project in projects}
    for row in objects(value, "monitors"):
        up = row.raw("isUp") if isinstance(row.raw("isUp"), bool) else None
        number = row.line("id")
        yield Monitor(
            kind="uptime",
            id=number,
            name=row.line("name", "url"),
            project=slugs.get(row.line("projectId", "projectID", "project"), ""),
            environment=row.line("envName"),
            status=_STATE_WORDS.get(up, ""),
            up=up,
            schedule=_every(row.whole("interval")),
            url=row.line("url"),
            since=row.time("lastChange"),
            link=f"{base_url}/uptime-monitors/{number}",
        )


def _schedule(value: Any) -> str:
    """The schedule: a crontab unchanged, or `[1, "hour"]` in words."""
    row = Fields({"text": value, "parts": value})
    parts = [Fields({"part": part}).line("part") for part in row.rows("parts")]
    return " ".join(parts) if parts else row.line("text")


def _every(seconds: int | None) -> str:
    return f"{seconds} s" if seconds else ""
