"""`GET /sentry/metrics`: the counts of all flows, as Prometheus text. No label carries text from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from errbot_sentry.domain.locks import Lock
from errbot_sentry.health import FlowFacts
from errbot_sentry.server.http.limits import Exchange

if TYPE_CHECKING:
    from prometheus_client.core import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


# Kind, name, help, and the value; None where it is not known.
_ROWS: tuple[tuple[str, str, str, Callable[[FlowFacts], float | None]], ...] = (
    ("counter", "events_captured", "Errors and messages taken for reporting.", lambda facts: facts.report.captured),
    ("counter", "events_sent", "Events that the server has confirmed.", lambda facts: facts.report.sent),
    ("counter", "events_repeated", "Identical errors that were counted.", lambda facts: facts.report.repeated),
    ("gauge", "events_spooled", "Envelopes that wait on disk.", lambda facts: facts.report.spooled),
    ("gauge", "spool_bytes", "Disk that they take.", lambda facts: facts.report.spool_bytes),
    ("gauge", "alerts_waiting", "Alerts without a decision.", lambda facts: _alerts(facts, "waiting")),
    ("gauge", "alerts_deferred", "Notifications that are deferred.", lambda facts: _alerts(facts, "deferred")),
    ("gauge", "outbox_messages", "Messages not yet sent.", lambda facts: _alerts(facts, "queue")),
    ("gauge", "outbox_failed", "Messages set aside after too many tries.", lambda facts: _alerts(facts, "failed")),
    ("gauge", "queue_age_seconds", "Age of the oldest alert or message that waits.", lambda facts: _age(facts)),
    ("gauge", "poll_lag_seconds", "Time since the last answered poll.", lambda facts: _alerts(facts, "poll_lag")),
    ("gauge", "webhook_age_seconds", "Time since the last authentic webhook.", lambda facts: _webhook_age(facts)),
    ("gauge", "database_up", "1 while the state can be read.", lambda facts: _alerts(facts, "database_ok")),
)
# Kind, name, help, the label, and what is counted under each of its values; None where alerts are switched off.
_LABELLED: tuple[tuple[str, str, str, str, Callable[[FlowFacts], Mapping[str, int] | None]], ...] = (
    ("counter", "events_dropped", "Events given up.", "reason", lambda facts: facts.report.dropped),
    ("counter", "chat_jobs_dropped", "Jobs for chat that had no room.", "jobs", lambda facts: facts.chat_dropped),
    ("gauge", "decisions", "Decisions about alerts in the store.", "decision", lambda facts: _alerts(facts, "decided")),
    ("counter", "alerts_not_looked_up", "Decided without the server's answer.", "reason",
        lambda facts: _alerts(facts, "without")),
    ("gauge", "damaged_rows", "Rows of the state that cannot be read.", "table",
        lambda facts: _alerts(facts, "damaged")),
)  # fmt: skip


class ApiTimes:
    """Counts and seconds of the calls to the server, by method, path template and result."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._totals: dict[tuple[str, str, str], tuple[int, float]] = {}

    def observe(self, exchange: Exchange) -> None:
        """One call; the transport calls this, in any thread."""
        key = (exchange.method, exchange.path, str(exchange.status or exchange.error or "none"))
        with self._lock:
            count, seconds = self._totals.get(key, (0, 0.0))
            self._totals[key] = (count + 1, seconds + exchange.seconds)

    def totals(self) -> dict[tuple[str, str, str], tuple[int, float]]:
        """(method, path template, status or error) to (calls, seconds)."""
        with self._lock:
            return dict(self._totals)


def exposition(facts: FlowFacts, times: ApiTimes) -> str:
    """All metrics in Prometheus' text format."""
    # At the first scrape, because most bots are never scraped and a start should cost nothing.
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


def _alerts(facts: FlowFacts, name: str) -> Any:
    return None if facts.alerts is None else getattr(facts.alerts, name)


def _age(facts: FlowFacts) -> float | None:
    if facts.alerts is None:
        return None
    return 0.0 if facts.alerts.oldest is None else (facts.now - facts.alerts.oldest).total_seconds()


def _webhook_age(facts: FlowFacts) -> float | None:
    if facts.alerts is None or facts.alerts.webhook_last is None:
        return None
    return (facts.now - facts.alerts.webhook_last).total_seconds()
