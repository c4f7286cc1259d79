"""Adds to an alert what its sender left out: project, issue, and the facts that routes ask for.

Bugsink sends a project's number, GlitchTip its display name, event alerts no short id, and most alerts no environment.
The server has the rest. It is asked in another thread (`look_ups.py`), so that an alert which needs nothing does not
wait. The facts of a problem are read once, with its issue or its latest event, and remembered. If the server does not
answer in time, the alert is decided with what is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from errbot_sentry.alerting.decide.grouping import RETURNS
from errbot_sentry.alerting.decide.look_ups import BUDGET, LookUps, ReadIssue
from errbot_sentry.config.facts import EVENT, FRAMES, ISSUE, source_of
from errbot_sentry.domain.alerts import METRIC, NEW, REGRESSED, RULE, TEST, UPTIME, Alert
from errbot_sentry.domain.issues import RESOLVED, Event, Issue, Project
from errbot_sentry.domain.stack_trace import ALERT, frame_words, shortened, trace_lines
from errbot_sentry.server.protocol import Server
from errbot_sentry.store.records import KnownIssue, WaitingAlert, alert_from_text, alert_to_text

GIVE_UP = 86400.0  # seconds after which an alert is decided although its project is unknown
_FRESH = 900.0  # seconds: an issue first seen so shortly before its alert is new
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 300.0
_STALE = 3600.0  # seconds: if the facts are older, they are read again when the problem comes back
_TRACE_LINES = 8  # few enough for a room without threads
# What to ask the server for, from the alert, the kind of server, and whether the alert may become a notification.
FactsToFetch = Callable[[Alert, str, bool], frozenset[str]]


@dataclass(frozen=True)
class Enriched:
    """The alert, completed as far as possible.

    `park` is when to look at it again if the server is being asked. `wait` is the seconds until the next try, if it
    cannot be decided without the answer. `lost` says that its project was unknown for too long, so nobody gets it.
    `without` is the reason if it is decided without the server's answer, else "".
    """

    alert: Alert
    wait: float | None = None
    lost: bool = False
    park: float | None = None
    without: str = ""


class Enricher:
    """Completes alerts, from memory or with answers of the look-ups; it makes no request itself."""

    def __init__(self, look_ups: LookUps, facts_to_fetch: FactsToFetch, kind: Callable[[], str]) -> None:
        self._look_ups = look_ups
        self._facts_to_fetch = facts_to_fetch
        self._kind = kind

    def __call__(self, row: WaitingAlert, known: KnownIssue | None, now: float) -> Enriched:
        """The alert with its project and, if they are known, its short id, title, link and facts."""
        alert = _from_memory(row.alert, known, now)
        unannounced = known is None or known.notified_at is None
        kind = self._kind()
        # With the known amounts, no request is made for an alert that is only counted.
        routed_as = alert if unannounced else with_known_amounts(alert, known)
        missing = self._facts_to_fetch(routed_as, kind, unannounced or alert.reason in RETURNS)
        asks = _has_issue(alert) and any(not kind or source_of(name, kind) for name in missing)
        if is_complete(alert) and not (is_vague(alert) and unannounced) and not asks:
            return Enriched(alert)
        answer = self._look_ups.take(row.id)
        if answer is not None:
            alert, without = _from_memory(answer.alert, known, now, even_stale=True), answer.failure
        else:
            until = self._look_ups.asked_until(row.id)
            without = self._look_ups.start(row.id, alert, now) if until is None else ""
            if not without and (until is None or now < until):
                return Enriched(alert, park=now + BUDGET if until is None else until)
            without = without or self._look_ups.late(row.id)
            alert = _from_memory(alert, known, now, even_stale=True)
        if not alert.project:
            alert = replace(alert, project=_project_in(alert.short_id))
        if alert.project:
            return Enriched(alert, without=without)
        if now - row.received >= GIVE_UP:
            return Enriched(alert, lost=True)
        return Enriched(alert, wait=min(_FIRST_PAUSE * 2 ** min(row.tries, 10), _LONGEST_PAUSE))

    def has_asked(self, alert_id: int) -> bool:
        """Whether the server is being asked about this alert, or was."""
        return self._look_ups.asked_until(alert_id) is not None

    def settled(self, alert_id: int) -> None:
        """Drop the look-up of an alert that is decided."""
        self._look_ups.forget(alert_id)


def look_up(
    alert: Alert, server: Server, read_issue: ReadIssue, facts_to_fetch: Callable[[Alert, str], frozenset[str]]
) -> Iterator[Alert]:
    """The alert after each answer: with its project, then with the issue's values, then with the latest event's.

    Only what is needed is requested. Raises what the server raises.
    """
    if not alert.project:
        alert = _with_project(alert, server.projects())
        yield alert
    if not _has_issue(alert):
        return

    def needs(*sources: str) -> bool:
        return any(source_of(name, server.kind) in sources for name in facts_to_fetch(alert, server.kind))

    if not is_complete(alert) or is_vague(alert) or needs(ISSUE):
        alert = _with_issue(alert, read_issue(alert.issue_id))
        yield alert
    if needs(EVENT, FRAMES):
        project = Project(alert.project_id, alert.project, alert.project_name)
        event = server.latest_event(Issue(alert.issue_id, alert.short_id, alert.title, project))
        if event is not None:
            yield _with_event(alert, event)


def with_known_amounts(alert: Alert, known: KnownIssue | None) -> Alert:
    """The alert with the last known numbers of events and users if it has none: enough for its routing."""
    if known is None:
        return alert
    return replace(
        alert,
        events=known.events if alert.events is None else alert.events,
        users=known.polled_users if alert.users is None else alert.users,
    )


def facts_after(alert: Alert, known: KnownIssue | None, now: float) -> str:
    """The facts of an alert's problem to remember, for `KnownIssue.facts`."""
    before = known.facts if known is not None else ""
    if not alert.asked or (before and _facts_of(before).asked == alert.asked and alert.reason not in RETURNS):
        return before
    at = datetime.fromtimestamp(now, timezone.utc)
    return alert_to_text(
        replace(_NO_FACTS, at=at, **{name: getattr(alert, name) for name in (*_FACTS, "tags", "asked")})
    )


_FACTS = ("environment", "release", "platform", "priority", "first_seen", "frame")
_NO_FACTS = Alert("facts", "facts", "facts", datetime(1970, 1, 1, tzinfo=timezone.utc))


def _facts_of(text: str) -> Alert:
    return (alert_from_text(text) if text else None) or _NO_FACTS


def is_complete(alert: Alert) -> bool:
    if alert.category == UPTIME:  # GlitchTip sends no project, and an uptime monitor need not have one
        return True
    return bool(alert.project) and (bool(alert.short_id) or not _has_issue(alert))


def _has_issue(alert: Alert) -> bool:
    return bool(alert.issue_id) and alert.reason != METRIC


def is_vague(alert: Alert) -> bool:
    """Whether an alert does not say what happened: GlitchTip's name no rule, and not whether the issue is new."""
    return alert.reason == RULE and not alert.rule


def _from_memory(alert: Alert, known: KnownIssue | None, now: float, *, even_stale: bool = False) -> Alert:
    if known is None:
        return alert
    facts = _facts_of(known.facts)
    if alert.reason in RETURNS and now - facts.at.timestamp() > _STALE and not even_stale:
        facts = _NO_FACTS
    present = {tag for tag, _ in alert.tags}
    return replace(
        alert,
        project=alert.project or known.project,
        short_id=alert.short_id or known.short_id,
        title=alert.title or known.title,
        link=alert.link or known.link,
        level=alert.level or known.level or None,
        reason=REGRESSED if is_vague(alert) and known.status == RESOLVED else alert.reason,
        tags=(*alert.tags, *(tag for tag in facts.tags if tag[0] not in present)),
        asked=_joined(alert.asked, facts.asked),
        **{name: getattr(alert, name) or getattr(facts, name) for name in _FACTS},
    )


def _joined(*asked: str) -> str:
    return " ".join(dict.fromkeys(" ".join(asked).split()))


def _with_project(alert: Alert, projects: tuple[Project, ...]) -> Alert:
    by_id = [each for each in projects if alert.project_id and each.id == alert.project_id]
    by_name = [each for each in projects if alert.project_name and alert.project_name in (each.name, each.slug)]
    # Bugsink's test message has the right name, but always the number 1.
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
        assignee_kind=alert.assignee_kind or "nobody",
        release=alert.release or issue.last_release,
        priority=alert.priority or issue.priority,
        first_seen=alert.first_seen if issue.first_seen is None else issue.first_seen.timestamp(),
        asked=_joined(alert.asked, ISSUE),
        reason=NEW if _is_fresh(alert, issue) else alert.reason,
    )


def _with_event(alert: Alert, event: Event) -> Alert:
    present = {tag for tag, _ in alert.tags}
    return replace(
        alert,
        level=alert.level or event.level,
        environment=alert.environment or event.environment,
        release=alert.release or event.release,
        platform=alert.platform or event.platform or None,
        tags=(*alert.tags, *(tag for tag in event.tags if tag[0] not in present)),
        frame=frame_words(event),
        trace="\n".join(shortened(trace_lines(event, ALERT), _TRACE_LINES)),
        asked=_joined(alert.asked, EVENT, FRAMES),
    )


def _is_fresh(alert: Alert, issue: Issue) -> bool:
    if not is_vague(alert) or issue.first_seen is None:
        return False
    return (alert.at - issue.first_seen).total_seconds() <= _FRESH


def _project_in(short_id: str) -> str:
    """The project's slug in a short id of Bugsink or GlitchTip: `ERRBOT-1` is in `errbot`."""
    return short_id.rpartition("-")[0].lower()
