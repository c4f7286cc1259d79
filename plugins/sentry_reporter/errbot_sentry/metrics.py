"""`GET /sentry/metrics`: what the flows have counted, as Prometheus text. No label carries text from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from errbot_sentry.domain.locks import Lock
from errbot_sentry.health import FlowFacts
from errbot_sentry.server.http.limits import Exchange

if TYPE_CHECKING:
    from prometheus_client.core import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_ROWS: tuple[tuple[str, str, str, Callable[[FlowFacts], float | None]], ...] = (
    ("counter", "events_captured", "Errors and messages taken for reporting.", lambda facts: facts.report.captured),
    ("counter", "events_sent", "Events that the server has confirmed.", lambda facts: facts.report.sent),
    ("counter", "events_repeated", "Identical errors that were counted.", lambda facts: facts.report.repeated),
    ("gauge", "events_spooled", "Envelopes that wait on disk.", lambda facts: facts.report.spooled),
    ("gauge", "spool_bytes", "Disk that they take.", lambda facts: facts.report.spool_bytes),
    ("gauge", "alerts_waiting", "Alerts without a decision.", lambda facts: _alerts(facts, "waiting")),
    ("gauge", "alerts_deferred", "First words that are put off.", lambda facts: _alerts(facts, "deferred")),
    ("gauge", "outbox_messages", "Messages not yet sent.", lambda facts: _alerts(facts, "queue")),
    ("gauge", "outbox_failed", "Messages set aside after too many tries.", lambda facts: _alerts(facts, "failed")),
    ("gauge", "queue_age_seconds", "Age of the oldest that waits.", lambda facts: _age(facts)),
    ("gauge", "poll_lag_seconds", "Time since the last answered poll.", lambda facts: _alerts(facts, "poll_lag")),
    ("gauge", "webhook_age_seconds", "Time since the last authentic webhook.", lambda facts: _webhook_age(facts)),
    ("gauge", "database_up", "1 while the state can be read.", lambda facts: _alerts(facts, "database_ok")),
)


class ApiTimes:
    """Counts and seconds of the calls to the server, by method, path template and result."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._totals: dict[tuple[str, str, str], tuple[int, float]] = {}

    def observe(self, exchange: Exchange) -> None:
        """One call; told by the transport, in any thread."""
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

        for kind, name, words, value_of in _ROWS:
            value = value_of(self._facts)
            if value is not None:
                family: Any = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
                yield family(f"sentry_reporter_{name}", words, value=float(value))
        yield _labelled(
            CounterMetricFamily("sentry_reporter_events_dropped", "Events given up.", labels=["reason"]),
            self._facts.report.dropped.items(),
        )
        if self._facts.alerts is not None:
            yield _labelled(
                GaugeMetricFamily("sentry_reporter_decisions", "Kept decisions about alerts.", labels=["decision"]),
                self._facts.alerts.decided.items(),
            )
            yield _labelled(
                CounterMetricFamily(
                    "sentry_reporter_alerts_not_looked_up", "Decided without the server's answer.", labels=["reason"]
                ),
                self._facts.alerts.without.items(),
            )
            yield _labelled(
                GaugeMetricFamily(
                    "sentry_reporter_damaged_rows", "Rows of the state that cannot be read.", labels=["table"]
                ),
                self._facts.alerts.damaged.items(),
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


def _alerts(facts: FlowFacts, name: str) -> float | None:
    return None if facts.alerts is None else getattr(facts.alerts, name)


def _age(facts: FlowFacts) -> float | None:
    if facts.alerts is None:
        return None
    return 0.0 if facts.alerts.oldest is None else (facts.now - facts.alerts.oldest).total_seconds()


def _webhook_age(facts: FlowFacts) -> float | None:
    if facts.alerts is None or facts.alerts.webhook_last is None:
        return None
    return (facts.now - facts.alerts.webhook_last).total_seconds()
