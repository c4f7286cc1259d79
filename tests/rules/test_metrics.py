"""Metrics: every count of the flows, as text that Prometheus reads."""

from __future__ import annotations

import json
import operator
import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from errbot_sentry.alerting.canary_links import Link, LinkState
from errbot_sentry.alerting.notify.fallback_sender import FallbackStatus
from errbot_sentry.alerting.service import AlertsStatus
from errbot_sentry.canary import CanaryStatus
from errbot_sentry.config.settings import Settings
from errbot_sentry.health import ApiTimes, FlowFacts, exposition, health_of, status_of
from errbot_sentry.reporting.report_status import ReportStatus
from errbot_sentry.server.http.calls import Exchange

DOCS = Path(__file__).resolve().parents[2] / "docs" / "monitoring"
NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)


def _facts(alerts=None, report=None, **more):
    return FlowFacts(Settings(), report or ReportStatus(), alerts, None, "", NOW, **more)


def _read(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_count_is_there():
    """Captured, dropped by reason, decisions by name, ages, calls by path template."""
    times = ApiTimes()
    times.observe(Exchange("GET", "/issues/{}/", 200, 0.25))
    times.observe(Exchange("GET", "/issues/{}/", 200, 0.5))
    times.observe(Exchange("GET", "/issues/{}/", None, 10.0, "TimedOut"))
    report = ReportStatus(enabled=True, running=True, captured=7, sent=5, repeated=100, dropped={"spool full": 2})
    fallback = FallbackStatus(("mailto (entry 1)",), sent=2, refused=1)
    alerts = AlertsStatus(
        True,
        True,
        fallback=fallback,
        queue=3,
        oldest=NOW - timedelta(seconds=90),
        decided={"first": 4, "silenced": 1},
        edits_given_up=2,
        poll_lag=12.5,
    )
    facts = _facts(alerts, report, chat_dropped={"reactions": 3}, token_refused="invalid_auth")
    found = _read(exposition(facts, times))
    assert found["sentry_reporter_chat_token_refused", (("code", "invalid_auth"),)] == 1
    assert found["sentry_reporter_events_captured_total", ()] == 7
    assert found["sentry_reporter_events_dropped_total", (("reason", "spool full"),)] == 2
    assert found["sentry_reporter_chat_jobs_dropped_total", (("jobs", "reactions"),)] == 3
    assert found["sentry_reporter_edits_given_up_total", ()] == 2
    assert found["sentry_reporter_decisions", (("decision", "silenced"),)] == 1
    assert found["sentry_reporter_queue_age_seconds", ()] == 90
    assert found["sentry_reporter_fallback_messages_total", (("result", "refused"),)] == 1
    assert found["sentry_reporter_poll_lag_seconds", ()] == 12.5
    labels = (("method", "GET"), ("path", "/issues/{}/"), ("result", "200"))
    assert found["sentry_reporter_api_seconds_count", labels] == 2
    assert found["sentry_reporter_api_seconds_sum", labels] == 0.75
    assert found["sentry_reporter_api_seconds_count", (*labels[:2], ("result", "TimedOut"))] == 1


def test_whether_chat_is_away_has_a_gauge():
    """So that Prometheus can tell somebody, whom the bot cannot reach."""
    for since, up in ((None, 1), (NOW.timestamp() - 60, 0)):
        found = _read(exposition(_facts(chat_away_since=since), ApiTimes()))
        assert found["sentry_reporter_chat_up", ()] == up


def test_the_dashboard_and_the_rules_name_only_metrics_that_exist():
    """A panel of a metric that was renamed would stay empty, an alert on it would never fire."""
    times = ApiTimes()
    times.observe(Exchange("GET", "/issues/{}/", 200, 0.25))
    alerts = AlertsStatus(True, True, poll_lag=1.0, webhook_last=NOW, decided={"first": 1})
    facts = _facts(alerts, ReportStatus(dropped={"x": 1}), token_refused="invalid_auth")
    facts = replace(facts, canary=CanaryStatus((Link("sent", LinkState.OK),)))
    found = {name for name, _ in _read(exposition(facts, times))}
    pages = [(DOCS / name).read_text() for name in ("dashboard.json", "rules.yml")]
    json.loads(pages[0])
    named = {name for page in pages for name in re.findall(r"sentry_reporter_\w+", page)}
    assert len(named) > 12
    assert named <= found


def test_no_rule_fires_for_what_the_status_calls_ok():
    """One message that a mistyped room refused fired for a month, while status and health were well."""
    alerts = AlertsStatus(True, True, failed=3, failed_lately=0, poll_lag=5.0, decided={"failed": 1})
    facts = _facts(alerts)
    assert health_of(facts)[0]
    values = {name: value for (name, _), value in _read(exposition(facts, ApiTimes())).items()}
    rules = re.findall(r"expr: (\w+) (==|>) (\d+)$", (DOCS / "rules.yml").read_text(), re.MULTILINE)
    assert len(rules) > 6
    tests = {"==": operator.eq, ">": operator.gt}
    assert [name for name, sign, limit in rules if name in values and tests[sign](values[name], float(limit))] == []
    lately = _read(exposition(_facts(replace(alerts, failed_lately=1)), ApiTimes()))
    assert lately["sentry_reporter_outbox_failed_lately", ()] == 1


def test_with_alerts_off_their_metrics_are_absent():
    """Absent is not zero."""
    found = _read(exposition(_facts(), ApiTimes()))
    assert ("sentry_reporter_outbox_messages", ()) not in found
    assert ("sentry_reporter_events_captured_total", ()) in found


def test_health_is_trouble_where_status_says_trouble():
    """The two never disagree."""
    well, facts = health_of(_facts(alerts=AlertsStatus(True, True)))
    assert (well, facts["status"]) == (True, "ok")
    locked = _facts(alerts=AlertsStatus(True, False, "The state is locked."))
    assert health_of(locked)[0] is False
    assert [line.state for line in status_of(locked) if line.flow == "database"] == ["trouble"]
