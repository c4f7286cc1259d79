"""The health of the flows: in words (`!sentry status`), in JSON (`/sentry/health`), and as Prometheus metrics.

Neither the JSON nor a label of `/sentry/metrics` contains text from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import humanize

from errbot_sentry.alerting.canary_links import Link, LinkState, link_words
from errbot_sentry.alerting.decide.decisions import DecisionName
from errbot_sentry.alerting.service import AlertsStatus
from errbot_sentry.canary import CanaryStatus
from errbot_sentry.commands.command_context import OFF, OK, TROUBLE, WARNING, FlowStatus
from errbot_sentry.config.mistakes import ALERTS, REPORT, Mistake
from errbot_sentry.config.settings import Settings
from errbot_sentry.domain.locks import Lock
from errbot_sentry.reporting.report_status import ReportStatus
from errbot_sentry.server.http.calls import Exchange

if TYPE_CHECKING:
    from prometheus_client.core import Metric

_STUCK = timedelta(minutes=10)  # longer than the outbox tries to send a room's first message
_POLLS_MISSED = 3  # one late poll is normal; three missed polls are trouble


@dataclass(frozen=True)
class FlowFacts:
    """The state of all flows at one moment."""

    settings: Settings
    report: ReportStatus
    alerts: AlertsStatus | None
    listening: int | None
    listener_trouble: str
    now: datetime
    canary: CanaryStatus = field(default_factory=CanaryStatus)
    network: tuple[str, ...] = ()
    """The chat network's name, what it can show, and its present trouble if there is any."""
    network_is_well: bool = True
    token_refused: str = ""
    """The chat network's name of the reason why it refuses the bot's token; "" if it does not refuse it."""
    chat_away_since: float | None = None
    """Since when the bot is not connected to the chat network (seconds since 1970); None while it is."""
    chat_dropped: Mapping[str, int] = field(default_factory=dict)
    """Jobs for people in chat that were dropped because too many waited: kind to count since the start."""
    without_patches: tuple[str, ...] = ()
    """A sentence for each patch of Errbot that is needed and not applied: it says what is lost."""
    patches_failed: bool = False
    web_server_trouble: str = ""
    """Why Errbot's own web server does not run; "" if it does."""


def status_of(facts: FlowFacts) -> tuple[FlowStatus, ...]:
    """One line per part, in the order of the flows."""
    return (_report(facts), *_alerts(facts), *_chat(facts), *_canary(facts), *_settings(facts), *_patches(facts))


def health_of(facts: FlowFacts) -> tuple[bool, dict[str, object]]:
    """Whether everything that is switched on works, and the facts as JSON values without secrets."""
    lines = status_of(facts)
    well = all(line.state != TROUBLE for line in lines)
    report, alerts = facts.report, facts.alerts
    body: dict[str, object] = {"status": "ok" if well else "trouble"}
    body["report"] = {"enabled": report.enabled, "captured": report.captured, "sent": report.sent}
    if alerts is not None:
        body["alerts"] = {
            "database": "ok" if alerts.database_ok else "trouble",
            "queue": alerts.queue,
            "waiting": alerts.waiting,
            "failed": alerts.failed,
            "poll_lag_seconds": alerts.poll_lag,
        }
    chat = {"away_since": _away_since(facts), "token_refused": facts.token_refused}
    if any(chat.values()):
        body["chat"] = {name: value for name, value in chat.items() if value}
    if facts.canary.links:
        body["canary"] = {link.name: link.state.value for link in facts.canary.links}
    body["flows"] = {line.flow: line.state for line in reversed(lines)}  # if a flow has several lines, the first counts
    return well, body


def _report(facts: FlowFacts) -> FlowStatus:
    mistakes = facts.settings.mistakes_of(REPORT)
    report = facts.report
    if any(_harms(facts, mistake) for mistake in mistakes):
        return FlowStatus("report", TROUBLE, (_switched_off(mistakes),))
    if not report.enabled:
        return FlowStatus("report", OFF, ("BOT_LOG_SENTRY is False",))
    words = [f"to {report.dsn}", f"{report.captured} captured, {report.sent} sent"]
    if report.last_sent is not None:
        words.append(f"last sent {_ago(report.last_sent, facts.now)}")
    if report.repeated:
        words.append(f"{report.repeated} repeats counted")
    if report.spooled:
        words.append(f"{report.spooled} waiting on disk")
    words += [f"{count} dropped: {reason}" for reason, count in report.dropped.items()]
    words += report.notes
    if report.last_failure:
        words.append(report.last_failure)
    return FlowStatus("report", TROUBLE if report.last_failure or not report.running else OK, tuple(words))


def _alerts(facts: FlowFacts) -> tuple[FlowStatus, ...]:
    mistakes = facts.settings.mistakes_of(ALERTS)
    if mistakes or facts.alerts is None:
        return (FlowStatus("alerts", TROUBLE, (_switched_off(mistakes),)),)
    if not facts.alerts.database_ok:
        return (FlowStatus("database", TROUBLE, (facts.alerts.database_error,)),)
    return (
        _webhook(facts, facts.alerts),
        _poll(facts, facts.alerts),
        _queue(facts, facts.alerts),
        *_fallback(facts.alerts),
    )


def _webhook(facts: FlowFacts, alerts: AlertsStatus) -> FlowStatus:
    settings = facts.settings.alerts
    if facts.listener_trouble:
        return FlowStatus("webhook", TROUBLE, (facts.listener_trouble,))
    if not settings.webhook_secrets and not settings.webhook_tokens:
        return FlowStatus("webhook", OFF, ("neither SENTRY_WEBHOOK_SECRET nor SENTRY_WEBHOOK_TOKENS is set",))
    if not facts.listening and facts.web_server_trouble:
        return FlowStatus("webhook", TROUBLE, (facts.web_server_trouble,))
    where = f"own listener on port {facts.listening}" if facts.listening else "on Errbot's web server"
    seen = "none since the start" if alerts.webhook_last is None else f"last {_ago(alerts.webhook_last, facts.now)}"
    # A refused webhook does not make the bot unhealthy: a restart would not help against a sender's wrong settings.
    refused = (f"the last one was refused: {alerts.webhook_refused}",) if alerts.webhook_refused else ()
    return FlowStatus("webhook", OK, (where, seen, *refused))


def _poll(facts: FlowFacts, alerts: AlertsStatus) -> FlowStatus:
    settings = facts.settings.alerts
    if not settings.poll_seconds:
        return FlowStatus("polling", OFF, ("SENTRY_POLL_SECONDS is 0",))
    if not settings.routes and alerts.poll_lag is None and not alerts.poll_error:  # subscriptions make it poll too
        return FlowStatus("polling", OFF, ("no room wants alerts: SENTRY_ALERTS is empty",))
    if alerts.poll_error:
        return FlowStatus("polling", TROUBLE, (alerts.poll_error,))
    if alerts.poll_lag is None:
        return FlowStatus("polling", OK, ("no poll yet",))
    late = alerts.poll_lag > max(30.0, _POLLS_MISSED * settings.poll_seconds)
    ago = humanize.precisedelta(alerts.poll_lag, minimum_unit="seconds", format="%0.0f")
    return FlowStatus("polling", TROUBLE if late else OK, (f"every {settings.poll_seconds:g} s, last {ago} ago",))


def _queue(facts: FlowFacts, alerts: AlertsStatus) -> FlowStatus:
    waiting = alerts.queue + alerts.waiting
    words = [f"{waiting} waiting"]
    if alerts.oldest is not None:
        words.append(f"oldest from {_ago(alerts.oldest, facts.now)}")
    if alerts.failed:
        words.append(f"{alerts.failed} could not be delivered, {alerts.failed_lately} of them in the last hour")
    if alerts.edits_given_up:
        words.append(f"{alerts.edits_given_up} edits of notifications given up")
    undecided = alerts.decided.get(DecisionName.FAILED.value, 0)
    if undecided:
        words.append(f"{undecided} could not be decided: the log has the causes")
    if alerts.damaged:
        tables = ", ".join(f"{count} in {table}" for table, count in alerts.damaged.items())
        words.append(f"rows of the state that cannot be read and are skipped: {tables}")
    stuck = alerts.oldest is not None and facts.now - alerts.oldest > _STUCK
    # Only failures of the last hour count. Otherwise one message to a mistyped room would be trouble for a month.
    return FlowStatus("delivery", TROUBLE if stuck or alerts.failed_lately else OK, tuple(words))


def _fallback(alerts: AlertsStatus) -> Iterator[FlowStatus]:
    """A refusing address does not make the bot unhealthy, because a restart would not help."""
    if alerts.fallback is not None:
        found = alerts.fallback
        words = [f"to {', '.join(found.addresses)}", f"{found.sent} messages sent, {found.refused} refused"]
        if found.failed:
            words.append(f"{found.failed} notifications given up")
        yield FlowStatus("fallback", WARNING if found.trouble else OK, (*words, *found.trouble))


def _chat(facts: FlowFacts) -> Iterator[FlowStatus]:
    """The network's state, and dropped jobs.

    A network that is away does not make the bot unhealthy, because a restart would not help. Neither do jobs that were
    dropped in the past.
    """
    since = _away_since(facts)
    away = (f"away since {since}",) if since else ()
    dropped = (f"{count} {jobs} dropped: too many waited" for jobs, count in facts.chat_dropped.items())
    words = (*facts.network, *away, *dropped)
    if words:
        yield FlowStatus("chat", TROUBLE if not facts.network_is_well else WARNING if away else OK, words)


def _away_since(facts: FlowFacts) -> str:
    if facts.chat_away_since is None:
        return ""
    return f"{datetime.fromtimestamp(facts.chat_away_since, timezone.utc):%Y-%m-%d %H:%M:%S} UTC"


def _canary(facts: FlowFacts) -> Iterator[FlowStatus]:
    """The canary's last round. A broken link does not make the bot unhealthy, because a restart would not help."""
    status = facts.canary
    if not status.links:
        if facts.settings.canary and facts.report.running:
            yield FlowStatus("canary", OK, ("no round is over yet",))
        return
    last = dict(status.last)
    words = [_canary_words(link, last.get(link.name), facts.now) for link in status.links]
    broken = any(link.state is LinkState.BROKEN for link in status.links)
    yield FlowStatus("canary", WARNING if broken else OK, (*words, *filter(None, (status.note,))))


def _canary_words(link: Link, last: datetime | None, now: datetime) -> str:
    if link.state is LinkState.OK and link.at is not None:
        return f"{link_words(link)}, {_ago(link.at, now)}"
    return f"{link_words(link)}, last {_ago(last, now) if last is not None else 'never since the start'}"


def _switched_off(mistakes: Iterable[Mistake]) -> str:
    """Names the wrong settings. Each mistake is explained on its own line."""
    return f"switched off by wrong settings: {', '.join(mistake.setting for mistake in mistakes)}"


def _harms(facts: FlowFacts, mistake: Mistake) -> bool:
    """Whether a mistake is trouble. If reporting is off, its wrong settings are not, except BOT_LOG_SENTRY itself: its
    wrong value may have been meant as on."""
    return mistake.flows != (REPORT,) or facts.report.enabled or mistake.setting == "BOT_LOG_SENTRY"


def _settings(facts: FlowFacts) -> Iterator[FlowStatus]:
    """Each mistake and each hint on its own line, so that none is lost when long lines are cut."""
    for mistake in sorted(facts.settings.mistakes, key=lambda mistake: not _harms(facts, mistake)):
        yield FlowStatus("setting", TROUBLE if _harms(facts, mistake) else WARNING, (str(mistake),))
    for hint in facts.settings.hints:
        yield FlowStatus("setting", WARNING, (hint.sentence,))


def _patches(facts: FlowFacts) -> Iterator[FlowStatus]:
    """What is lost without our patches. It is trouble only if they failed, not if the operator switched them off."""
    reason = (
        "Errbot could not be patched: the log has the cause" if facts.patches_failed else "SENTRY_PATCH_ERRBOT is False"
    )
    state = TROUBLE if facts.patches_failed else OFF
    for sentence in facts.without_patches:
        yield FlowStatus("errbot", state, (reason, sentence))


def _ago(then: datetime, now: datetime) -> str:
    return humanize.naturaltime(now - then)


CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


# Kind, name, help text, and a function that returns the value, or None if it is not known.
_ROWS: tuple[tuple[str, str, str, Callable[[FlowFacts], float | None]], ...] = (
    ("counter", "events_captured", "Errors and messages taken for reporting.", lambda facts: facts.report.captured),
    ("counter", "events_sent", "Events that the server has confirmed.", lambda facts: facts.report.sent),
    ("counter", "events_repeated", "Identical errors that were counted.", lambda facts: facts.report.repeated),
    ("gauge", "events_spooled", "Envelopes that wait on disk.", lambda facts: facts.report.spooled),
    ("gauge", "spool_bytes", "Disk space that they take.", lambda facts: facts.report.spool_bytes),
    ("gauge", "alerts_waiting", "Alerts without a decision.", lambda facts: _count(facts, "waiting")),
    ("gauge", "alerts_deferred", "Notifications that are deferred.", lambda facts: _count(facts, "deferred")),
    ("gauge", "outbox_messages", "Messages not yet sent.", lambda facts: _count(facts, "queue")),
    ("gauge", "outbox_failed", "Messages set aside after too many tries.", lambda facts: _count(facts, "failed")),
    (
        "gauge",
        "outbox_failed_lately",
        "Messages set aside in the last hour.",
        lambda facts: _count(facts, "failed_lately"),
    ),
    ("counter", "edits_given_up", "Edits of notifications given up.", lambda facts: _count(facts, "edits_given_up")),
    ("gauge", "queue_age_seconds", "Age of the oldest alert or message that waits.", lambda facts: _age(facts)),
    ("gauge", "poll_lag_seconds", "Time since the last answered poll.", lambda facts: _count(facts, "poll_lag")),
    ("gauge", "webhook_age_seconds", "Time since the last authentic webhook.", lambda facts: _webhook_age(facts)),
    ("gauge", "chat_up", "1 while the bot is connected to chat.", lambda facts: float(facts.chat_away_since is None)),
    ("gauge", "database_up", "1 while the state can be read and written.", lambda facts: _count(facts, "database_ok")),
)
# Kind, name, help text, label, and a function that returns the value for each label value, or None if alerts are off.
_LABELLED: tuple[tuple[str, str, str, str, Callable[[FlowFacts], Mapping[str, float] | None]], ...] = (
    ("counter", "events_dropped", "Events given up.", "reason", lambda facts: facts.report.dropped),
    ("counter", "chat_jobs_dropped", "Jobs for chat that had no room.", "jobs", lambda facts: facts.chat_dropped),
    ("gauge", "chat_token_refused", "1 while the chat network refuses the bot's token.", "code",
        lambda facts: {facts.token_refused: 1} if facts.token_refused else {}),
    ("gauge", "decisions", "Decisions about alerts in the store.", "decision", lambda facts: _count(facts, "decided")),
    ("counter", "alerts_not_looked_up", "Decided without the server's answer.", "reason",
        lambda facts: _count(facts, "without")),
    ("counter", "fallback_messages", "Messages to the fallback, by result.", "result", lambda facts: _round(facts)),
    ("gauge", "damaged_rows", "Rows of the state that cannot be read.", "table",
        lambda facts: _count(facts, "damaged")),
    ("gauge", "canary_link_up", "1 if the link worked in the canary's last round.", "link",
        lambda facts: {link.name: int(link.state is LinkState.OK) for link in facts.canary.links
                       if link.state is not LinkState.UNKNOWN}),
    ("gauge", "canary_link_age_seconds", "Time since the canary last reached the link.", "link",
        lambda facts: {name: (facts.now - at).total_seconds() for name, at in facts.canary.last}),
)  # fmt: skip


class ApiTimes:
    """Counts and seconds of the calls to the server, by method, path template and result."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._totals: dict[tuple[str, str, str], tuple[int, float]] = {}

    def observe(self, exchange: Exchange) -> None:
        """Count one call. The transport calls this from any thread."""
        key = (exchange.method, exchange.path, str(exchange.status or exchange.error or "none"))
        with self._lock:
            count, seconds = self._totals.get(key, (0, 0.0))
            self._totals[key] = (count + 1, seconds + exchange.seconds)

    def totals(self) -> dict[tuple[str, str, str], tuple[int, float]]:
        """The totals so far: (method, path template, status or error) to (calls, seconds)."""
        with self._lock:
            return dict(self._totals)


def exposition(facts: FlowFacts, times: ApiTimes) -> str:
    """All metrics in Prometheus' text format."""
    # Imported at the first scrape, because most bots are never scraped, and this import would slow the start.
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(_Snapshot(facts, times))
    return generate_latest(registry).decode()


class _Snapshot:
    """The collector of one scrape."""

    def __init__(self, facts: FlowFacts, times: ApiTimes) -> None:
        self._facts = facts
        self._times = times

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily

        families: dict[str, Any] = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}
        for kind, name, words, value_of in _ROWS:
            value = value_of(self._facts)
            if value is not None:
                yield families[kind](f"sentry_reporter_{name}", words, value=float(value))
        for kind, name, words, label, counts_of in _LABELLED:
            counts = counts_of(self._facts)
            if counts is not None:
                family = families[kind](f"sentry_reporter_{name}", words, labels=[label])
                for each, count in counts.items():
                    family.add_metric([each], count)
                yield family
        calls = SummaryMetricFamily(
            "sentry_reporter_api_seconds", "Calls to the server.", labels=["method", "path", "result"]
        )
        for key, (count, seconds) in sorted(self._times.totals().items()):
            calls.add_metric(list(key), count_value=count, sum_value=seconds)
        yield calls


def _count(facts: FlowFacts, name: str) -> Any:
    return None if facts.alerts is None else getattr(facts.alerts, name)


def _round(facts: FlowFacts) -> dict[str, int] | None:
    if facts.alerts is None or facts.alerts.fallback is None:
        return None
    return {"sent": facts.alerts.fallback.sent, "refused": facts.alerts.fallback.refused}


def _age(facts: FlowFacts) -> float | None:
    if facts.alerts is None:
        return None
    return 0.0 if facts.alerts.oldest is None else (facts.now - facts.alerts.oldest).total_seconds()


def _webhook_age(facts: FlowFacts) -> float | None:
    if facts.alerts is None or facts.alerts.webhook_last is None:
        return None
    return (facts.now - facts.alerts.webhook_last).total_seconds()
