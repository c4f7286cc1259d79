"""Which project and issue an alert is about, where its sender leaves that out.

Bugsink sends a project's number, GlitchTip its display name, event alerts no short id: the server knows the rest. It
is asked beside the decisions (`look_ups.py`), so that an alert which needs nothing waits for nobody. What the server
has not said in time is decided with what is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from errbot_sentry.alerting.decide.look_ups import BUDGET, LookUps
from errbot_sentry.domain.alerts import NEW, REGRESSED, RULE, TEST, Alert
from errbot_sentry.domain.issues import RESOLVED, Issue, Project
from errbot_sentry.server.protocol import Server
from errbot_sentry.store.records import KnownIssue, WaitingAlert

GIVE_UP = 86400.0  # seconds after which an alert without a project is given up
_FRESH = 900.0  # an issue first seen this many seconds before its alert is new
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 300.0


@dataclass(frozen=True)
class Enriched:
    """The alert, completed as far as possible.

    `park` is when to look at it again while the server is asked, `wait` the seconds to try again in, where it cannot be
    decided without; `without` names why it is decided without the server's answer ("": with it, or none is needed).
    """

    alert: Alert
    wait: float | None = None
    lost: bool = False
    park: float | None = None
    without: str = ""


class Enricher:
    """Completes alerts, from memory or with what the look-ups have brought; it asks nobody itself."""

    def __init__(self, look_ups: LookUps) -> None:
        self._look_ups = look_ups

    def __call__(self, row: WaitingAlert, known: KnownIssue | None, now: float) -> Enriched:
        """The alert with its project and, where it can be had, its short id, title and link."""
        alert = _from_memory(row.alert, known)
        unannounced = known is None or known.notified_at is None
        if is_complete(alert) and not (is_vague(alert) and unannounced):
            return Enriched(alert)
        answer = self._look_ups.take(row.id)
        if answer is not None:
            alert, without = _from_memory(answer.alert, known), answer.failure
        else:
            until = self._look_ups.asked_until(row.id)
            without = self._look_ups.start(row.id, alert, now) if until is None else ""
            if not without and (until is None or now < until):
                return Enriched(alert, park=now + BUDGET if until is None else until)
            without = without or self._look_ups.late(row.id)
        if not alert.project:
            alert = replace(alert, project=_project_in(alert.short_id))
        if alert.project:
            return Enriched(alert, without=without)
        if now - row.received >= GIVE_UP:
            return Enriched(alert, lost=True)
        return Enriched(alert, wait=min(_FIRST_PAUSE * 2 ** min(row.tries, 10), _LONGEST_PAUSE))

    def has_asked(self, alert_id: int) -> bool:
        """Whether the server is being asked, or was, about this alert."""
        return self._look_ups.asked_until(alert_id) is not None

    def settled(self, alert_id: int) -> None:
        """It is decided: what the server says of it now is of no use any more."""
        self._look_ups.forget(alert_id)


def look_up(alerts: Sequence[Alert], server: Server) -> list[Alert | None]:
    """The alerts with what the server knows of their projects and issues, None for one whose issue it does not have;
    raises what the server raises. The issues of several alerts are read together."""
    placed = [alert if alert.project else _with_project(alert, server.projects()) for alert in alerts]
    ids = tuple(dict.fromkeys(alert.issue_id for alert in placed if _lacks_issue(alert)))
    if len(ids) > 1:
        issues = {issue.id: issue for issue in server.issues_by_id(ids)}
    else:
        issues = {issue_id: server.issue(issue_id) for issue_id in ids}
    return [
        alert
        if not _lacks_issue(alert)
        else _with_issue(alert, issues[alert.issue_id])
        if alert.issue_id in issues
        else None
        for alert in placed
    ]


def _lacks_issue(alert: Alert) -> bool:
    return _has_issue(alert) and (not is_complete(alert) or is_vague(alert))


def is_complete(alert: Alert) -> bool:
    return bool(alert.project) and (bool(alert.short_id) or not _has_issue(alert))


def _has_issue(alert: Alert) -> bool:
    return bool(alert.issue_id) and not alert.issue_id.startswith("metric-")


def is_vague(alert: Alert) -> bool:
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
        reason=REGRESSED if is_vague(alert) and known.status == RESOLVED else alert.reason,
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


def _with_issue(alert: Alert, issue: Issue) -> Alert:
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
    if not is_vague(alert) or issue.first_seen is None:
        return False
    return (alert.at - issue.first_seen).total_seconds() <= _FRESH


def _project_in(short_id: str) -> str:
    """The slug as Bugsink and GlitchTip write it into their short ids: `ERRBOT-1` is in `errbot`."""
    return short_id.rpartition("-")[0].lower()
