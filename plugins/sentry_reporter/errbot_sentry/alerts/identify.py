"""Which project and issue an alert is about, where its sender does not say so.

Bugsink sends a project's number, GlitchTip its display name, event alerts no short id: the server knows the rest. This
is the one stage that asks the network, and it runs before any transaction. A server that is away delays nothing that
can be told without it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from errbot_sentry.clock import Clock
from errbot_sentry.errors import SentryReporterError
from errbot_sentry.model import NEW, REGRESSED, RESOLVED, RULE, TEST, Alert, Issue, Project
from errbot_sentry.server.api import FindServer, Server
from errbot_sentry.store.rows import KnownIssue, WaitingAlert

log = logging.getLogger(__name__)

REST = 30.0  # seconds in which a server that failed is not asked again
GIVE_UP = 86400.0  # seconds after which an alert without a project is given up
_FRESH = 900.0  # an issue first seen this many seconds before its alert is new
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 300.0

UNIDENTIFIED = "unidentified"


@dataclass(frozen=True)
class Identified:
    """The alert, completed as far as possible. `wait` is the number of seconds to try again in, where it must be."""

    alert: Alert
    wait: float | None = None
    lost: bool = False


class Identify:
    """Completes alerts; asks the server only for what is missing."""

    def __init__(self, find_server: FindServer, clock: Clock) -> None:
        self._find_server = find_server
        self._clock = clock
        self._rests_until = 0.0

    def __call__(self, row: WaitingAlert, known: KnownIssue | None, now: float) -> Identified:
        """The alert with its project and, where it can be had, its short id, title and link."""
        alert = _from_memory(row.alert, known)
        unheard = known is None or known.announced is None
        if _is_complete(alert) and not (_is_vague(alert) and unheard):
            return Identified(alert)
        alert = self._from_server(alert)
        if not alert.project:
            alert = replace(alert, project=_project_in(alert.short_id))
        if alert.project:
            return Identified(alert)
        if now - row.received >= GIVE_UP:
            return Identified(alert, lost=True)
        return Identified(alert, wait=min(_FIRST_PAUSE * 2 ** min(row.tries, 10), _LONGEST_PAUSE))

    def _from_server(self, alert: Alert) -> Alert:
        if self._clock.monotonic() < self._rests_until:
            return alert
        try:
            server = self._find_server()
            if not alert.project:
                alert = _with_project(alert, server.projects())
            if _has_issue(alert) and (not _is_complete(alert) or _is_vague(alert)):
                alert = _with_issue(alert, server)
        except SentryReporterError as error:
            log.info("the server could not complete an alert: %s", error)
            if getattr(error, "retry", True):
                self._rests_until = self._clock.monotonic() + REST
        except Exception:
            # An answer that we stumble over must not hold up all alerts for ever.
            log.exception("an alert could not be completed")
            self._rests_until = self._clock.monotonic() + REST
        return alert


def _is_complete(alert: Alert) -> bool:
    return bool(alert.project) and (bool(alert.short_id) or not _has_issue(alert))


def _has_issue(alert: Alert) -> bool:
    return bool(alert.issue_id) and not alert.issue_id.startswith("metric-")


def _is_vague(alert: Alert) -> bool:
    """GlitchTip's alerts name no rule and do not say whether the issue is new."""
    return alert.reason == RULE and not alert.rule


def _from_memory(alert: Alert, known: KnownIssue | None) -> Alert:
    if known is None:
        return alert
    return replace(
        alert,
        project=alert.project or known.project,
        short_id=alert.short_id or known.short_id,
        title=alert.title or known.title,
        link=alert.link or known.link,
        level=alert.level or known.level or None,
        reason=REGRESSED if _is_vague(alert) and known.status == RESOLVED else alert.reason,
    )


def _with_project(alert: Alert, projects: tuple[Project, ...]) -> Alert:
    by_id = [each for each in projects if alert.project_id and each.id == alert.project_id]
    by_name = [each for each in projects if alert.project_name and alert.project_name in (each.name, each.slug)]
    # Bugsink's test message has the right name but always the number 1.
    ordered = (by_name, by_id) if alert.reason == TEST else (by_id, by_name)
    for found in ordered:
        if len(found) == 1:
            return replace(alert, project=found[0].slug)
    return alert


def _with_issue(alert: Alert, server: Server) -> Alert:
    issue = server.issue(alert.issue_id)
    if issue.assignee is not None and not alert.assignee_kind:
        owner = issue.assignee
        alert = replace(alert, assignee=owner.name, assignee_kind=owner.kind, assignee_mail=owner.email)
    return replace(
        alert,
        project=alert.project or issue.project.slug,
        short_id=alert.short_id or issue.short_id,
        title=alert.title or issue.title,
        culprit=alert.culprit or issue.culprit,
        level=alert.level or issue.level,
        link=alert.link or issue.link,
        events=issue.events if alert.events is None else alert.events,
        users=issue.users if alert.users is None else alert.users,
        reason=NEW if _is_fresh(alert, issue) else alert.reason,
    )


def _is_fresh(alert: Alert, issue: Issue) -> bool:
    if not _is_vague(alert) or issue.first_seen is None:
        return False
    return (alert.at - issue.first_seen).total_seconds() <= _FRESH


def _project_in(short_id: str) -> str:
    """The slug as Bugsink and GlitchTip write it into their short ids: `ERRBOT-1` is in `errbot`."""
    return short_id.rpartition("-")[0].lower()
