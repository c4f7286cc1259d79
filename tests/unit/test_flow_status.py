"""What an operator reads first: every wrong setting is shown whole, however many there are."""

from __future__ import annotations

from datetime import datetime, timezone
from types import SimpleNamespace

from errbot_sentry.flow_status import FlowFacts, health_of, status_of
from errbot_sentry.query.desk import OFF, TROUBLE
from errbot_sentry.report.status import ReportStatus
from errbot_sentry.settings import read_settings

WRONG = {
    "SENTRY_URL": "ftp://x",
    "SENTRY_SERVER": "x",
    "SENTRY_AUTH_TOKEN": 5,
    "SENTRY_PROJECTS": "web",
    "SENTRY_ALERTS": {"a": 1},
    "SENTRY_WEBHOOK_LISTEN": 5,
    "SENTRY_STATE_URL": "mysql://x",
    "SENTRY_PROJETCS": (),
}


def _facts(**config: object) -> FlowFacts:
    settings = read_settings(SimpleNamespace(BOT_ADMINS=("@admin",), BOT_DATA_DIR="data", **config), {})
    return FlowFacts(settings, ReportStatus(), None, None, "", datetime(2026, 1, 1, tzinfo=timezone.utc))


def test_each_wrong_setting_has_a_line_of_its_own():
    """A line is cut where it grows long; a mistake must not be cut off with it."""
    lines = status_of(_facts(**WRONG))
    for name in WRONG:
        assert [line for line in lines if line.facts and line.facts[0].startswith(name)], name
    (alerts,) = [line for line in lines if line.flow == "alerts"]
    assert alerts.state == TROUBLE
    assert "SENTRY_STATE_URL" in alerts.facts[0]


def test_an_oddity_does_not_hide_trouble_from_the_health():
    """Both are told under one name there."""
    well, body = health_of(_facts(**WRONG))
    assert not well
    assert body["flows"]["setting"] == TROUBLE
    assert body["flows"]["report"] == OFF
