"""`GET /sentry/metrics`: the counts of all flows, as Prometheus text. No label carries text from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from errbot_sentry.alerting.service import AlertsStatus
from errbot_sentry.domain.locks import Lock
from errbot_sentry.reporting.report_status import ReportStatus
from errbot_sentry.server.http.limits import Exchange

if TYPE_CHECKING:
    from prometheus_client.core import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class FlowCounts:
    """What the flows have counted up to `now`; `alerts` is None where alerts are switched off."""

    report: ReportStatus
    alerts: AlertsStatus | None
    now: datetime


_ROWS: tuple[tuple[str, str, str, Callable[[FlowCounts], float | None]], ...] = (
    ("counter", "events_captured", "Errors and messages taken for reporting.", lambda counts: counts.report.captured),
    ("counter", "events_sent", "Events that the server has confirmed.", lambda counts: counts.report.sent),
    ("counter", "events_repeated", "Identical errors that were counted.", lambda counts: counts.report.repeated),
    ("gauge", "events_spooled", "Envelopes that wait on disk.", lambda counts: counts.report.spooled),
    ("gauge", "spool_bytes", "Disk that they take.", lambda counts: counts.report.spool_bytes),
    ("gauge", "alerts_waiting", "Alerts without a decision.", lambda counts: _alerts(counts, "waiting")),
    ("gauge", "alerts_deferred", "Notifications that are deferred.", lambda counts: _alerts(counts, "deferred")),
    ("gauge", "outbox_messages", "Messages not yet sent.", lambda counts: _alerts(counts, "queue")),
    ("gauge", "outbox_failed", "Messages set aside after too many tries.", lambda counts: _alerts(counts, "failed")),
    ("gauge", "queue_age_seconds", "Age of the oldest alert or message that waits.", lambda counts: _age(counts)),
    ("gauge", "poll_lag_seconds", "Time since the last answered poll.", lambda counts: _alerts(counts, "poll_lag")),
    ("gauge", "webhook_age_seconds", "Time since the last authentic webhook.", lambda counts: _webhook_age(counts)),
    ("gauge", "database_up", "1 while the state can be read.", lambda counts: _alerts(counts, "database_ok")),
)


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


def exposition(counts: FlowCounts, times: ApiTimes) -> str:
    """All metrics in Prometheus' text format."""
    # At the first scrape, because most bots are never scraped and a start should cost nothing.
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(_Snapshot(counts, times))
    return generate_latest(registry).decode()


class _Snapshot:
    """The collector of one scrape."""

    def __init__(self, counts: FlowCounts, times: ApiTimes) -> None:
        self._counts = counts
        self._times = times

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily

        for kind, name, words, value_of in _ROWS:
            value = value_of(self._counts)
            if value is not None:
                family: Any = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
                yield family(f"sentry_reporter_{name}", words, value=float(value))
        yield _labelled(
            CounterMetricFamily("sentry_reporter_events_dropped", "Events given up.", labels=["reason"]),
            self._counts.report.dropped.items(),
        )
        if self._counts.alerts is not None:
            yield _labelled(
                GaugeMetricFamily(
                    "sentry_reporter_decisions", "Decisions about alerts in the store.", labels=["decision"]
                ),
                self._counts.alerts.decided.items(),
            )
            yield _labelled(
                CounterMetricFamily(
                    "sentry_reporter_alerts_not_looked_up", "Decided without the server's answer.", labels=["reason"]
                ),
                self._counts.alerts.without.items(),
            )
            yield _labelled(
                GaugeMetricFamily(
                    "sentry_reporter_damaged_rows", "Rows of the state that cannot be read.", labels=["table"]
                ),
                self._counts.alerts.damaged.items(),
            )
        calls = SummaryMetricFamily(
            "sentry_reporter_api_seconds", "Calls to the server.", labels=["method", "path", "result"]
        )
        for key, (count, seconds) in sorted(self._times.totals().items()):
            calls.add_metric(list(key), count_value=count, sum_value=seconds)
        yield calls


def _labelled(family: Any, values: Iterable[tuple[str, int]]) -> Any:
    for label, value in values:
        family.add_metric([label], value)
    return family


def _alerts(counts: FlowCounts, name: str) -> float | None:
    return None if counts.alerts is None else getattr(counts.alerts, name)


def _age(counts: FlowCounts) -> float | None:
    if counts.alerts is None:
        return None
    return 0.0 if counts.alerts.oldest is None else (counts.now - counts.alerts.oldest).total_seconds()


def _webhook_age(counts: FlowCounts) -> float | None:
    if counts.alerts is None or counts.alerts.webhook_last is None:
        return None
    return (counts.now - counts.alerts.webhook_last).total_seconds()
