"""What an operator reads first: every wrong setting is shown whole, however many there are."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

from errbot_sentry.alerting.canary_links import Link, LinkState
from errbot_sentry.alerting.decide.decisions import DecisionName
from errbot_sentry.alerting.notify.fallback_sender import FallbackStatus
from errbot_sentry.alerting.service import AlertsStatus
from errbot_sentry.canary import CanaryStatus
from errbot_sentry.commands.command_context import OFF, OK, TROUBLE, WARNING
from errbot_sentry.config.settings import read_settings
from errbot_sentry.health import ApiTimes, FlowFacts, exposition, health_of, status_of
from errbot_sentry.reporting.report_status import ReportStatus

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
    """Both have one name there."""
    well, body = health_of(_facts(**WRONG))
    assert not well
    assert body["flows"]["setting"] == TROUBLE
    assert body["flows"]["report"] == OFF


def test_without_our_changes_in_errbot_the_status_says_what_is_lost():
    """As the operator decided it is no trouble; where a change was wanted and failed, it is."""
    lost = ("messages may mix up their text", "replies may wait")
    facts = replace(_facts(), alerts=AlertsStatus(True, True), without_patches=lost)
    (first, second) = [line for line in status_of(facts) if line.flow == "errbot"]
    assert (first.state, second.state) == (OFF, OFF)
    assert first.facts == ("SENTRY_PATCH_ERRBOT is False", lost[0])
    assert health_of(facts)[0]
    failed = replace(facts, patches_failed=True)
    assert not health_of(failed)[0]
    assert "the log has the cause" in status_of(failed)[-1].facts[0]


def test_a_chat_network_that_is_away_is_named_and_no_reason_to_restart_the_bot():
    facts = replace(_facts(), alerts=AlertsStatus(True, True), network=("irc",))
    away = replace(facts, chat_away_since=datetime(2026, 1, 1, 14, 10, tzinfo=timezone.utc).timestamp())
    states = {}
    for each in (facts, away):
        (line,) = [line for line in status_of(each) if line.flow == "chat"]
        states[line.state] = line.facts
    assert states == {OK: ("irc",), WARNING: ("irc", "away since 2026-01-01 14:10:00 UTC")}
    well, body = health_of(away)
    assert well
    assert body["chat"] == {"away_since": "2026-01-01 14:10:00 UTC"}
    assert "chat" not in health_of(facts)[1]


def _delivery(**values: object) -> str:
    facts = _facts()
    alerts = AlertsStatus(True, True, **values)
    lines = status_of(FlowFacts(facts.settings, facts.report, alerts, None, "", facts.now))
    return next(line.state for line in lines if line.flow == "delivery")


def test_one_message_set_aside_is_no_lasting_trouble():
    """A mistyped room is trouble for an hour, not for as long as the message is stored; what is stuck is trouble."""
    now = _facts().now
    assert _delivery(failed=3) == OK
    assert _delivery(failed=3, failed_lately=1) == TROUBLE
    assert _delivery(queue=1, oldest=now - timedelta(minutes=9)) == OK
    assert _delivery(queue=1, oldest=now - timedelta(minutes=11)) == TROUBLE


def test_a_wrong_dsn_of_a_flow_that_is_off_is_no_trouble():
    """It is still named among the settings, and the health page says that all is well."""
    facts = _facts(SENTRY_DSN="nonsense", SENTRY_SPOOL_MB=-1)
    lines = status_of(facts)
    assert next(line.state for line in lines if line.flow == "report") == OFF
    settings = [line for line in lines if line.flow == "setting"]
    assert [line.facts[0].partition(":")[0] for line in settings] == ["SENTRY_DSN", "SENTRY_SPOOL_MB"]
    assert {line.state for line in settings} == {WARNING}
    well, body = health_of(FlowFacts(facts.settings, facts.report, AlertsStatus(True, True), None, "", facts.now))
    assert (well, body["status"]) == (True, "ok")
    assert next(line.state for line in status_of(_facts(BOT_LOG_SENTRY="no")) if line.flow == "report") == TROUBLE


def test_polling_for_subscriptions_alone_is_not_off():
    """Rooms that subscribed in chat are polled for too."""
    facts = _facts()

    def polling(**values: object) -> str:
        alerts = AlertsStatus(True, True, **values)
        lines = status_of(FlowFacts(facts.settings, facts.report, alerts, None, "", facts.now))
        return next(line.state for line in lines if line.flow == "polling")

    assert polling() == OFF
    assert polling(poll_lag=5.0) == OK
    assert polling(poll_error="The server does not answer.") == TROUBLE


def test_a_webhook_that_was_refused_says_what_to_set():
    """Its sender shows the answer to nobody; it is no trouble of the bot."""
    facts = replace(
        _facts(SENTRY_WEBHOOK_TOKENS=("x" * 20,)), alerts=AlertsStatus(True, True, webhook_refused="Set this.")
    )
    (webhook,) = [line for line in status_of(facts) if line.flow == "webhook"]
    assert (webhook.state, webhook.facts[-1]) == (OK, "the last one was refused: Set this.")


def test_a_name_that_is_no_setting_is_a_warning_and_the_health_page_stays_well():
    """Status called it ok."""
    facts = replace(_facts(SENTRY_PROJETCS=()), alerts=AlertsStatus(True, True))
    (line,) = [line for line in status_of(facts) if line.flow == "setting"]
    assert (line.state, line.facts) == (WARNING, ("SENTRY_PROJETCS is not a setting; did you mean SENTRY_PROJECTS?",))
    assert health_of(facts)[0]


def test_webhooks_that_nobody_takes_are_trouble():
    """Errbot's web server is not configured, or another program has its port; Errbot says neither."""
    facts = replace(_facts(SENTRY_WEBHOOK_TOKENS=("abc",)), alerts=AlertsStatus(True, True))
    assert next(line.state for line in status_of(facts) if line.flow == "webhook") == OK
    facts = replace(facts, web_server_trouble="it is off")
    assert next(line for line in status_of(facts) if line.flow == "webhook").facts == ("it is off",)
    assert not health_of(facts)[0]
    off = replace(_facts(), alerts=AlertsStatus(True, True), web_server_trouble="it is off")
    assert next(line.state for line in status_of(off) if line.flow == "webhook") == OFF


def test_trouble_stands_before_what_harms_nobody():
    facts = _facts(SENTRY_DSN="nonsense", SENTRY_URL="ftp://x")
    first, *_ = [line for line in status_of(facts) if line.flow == "setting"]
    assert (first.facts[0].partition(":")[0], first.state) == ("SENTRY_URL", TROUBLE)
    assert health_of(facts)[1]["flows"]["setting"] == TROUBLE


def test_what_was_dropped_in_chat_is_shown_and_no_trouble():
    """A full queue of reactions: who reacted got nothing."""
    facts = replace(_facts(), alerts=AlertsStatus(True, True), chat_dropped={"reactions": 3})
    (chat,) = [line for line in status_of(facts) if line.flow == "chat"]
    assert (chat.state, chat.facts) == (OK, ("3 reactions dropped: too many waited",))
    assert health_of(facts)[0]
    assert not [line for line in status_of(_facts()) if line.flow == "chat"]


def test_alerts_that_could_not_be_decided_are_shown():
    alerts = AlertsStatus(True, True, decided={DecisionName.FAILED.value: 2})
    (delivery,) = [line for line in status_of(replace(_facts(), alerts=alerts)) if line.flow == "delivery"]
    assert "2 could not be decided: the log has the causes" in delivery.facts


def test_a_fallback_that_fails_is_a_warning():
    """The health page stays well: nobody should restart the bot for it."""
    for trouble, state in (((), OK), (("mailto (entry 1) refused the last message",), WARNING)):
        fallback = FallbackStatus(("mailto (entry 1)",), sent=2, refused=1, trouble=trouble)
        facts = replace(_facts(), alerts=AlertsStatus(True, True, fallback=fallback))
        line = next(line for line in status_of(facts) if line.flow == "fallback")
        assert (line.state, line.facts) == (state, ("to mailto (entry 1)", "2 messages sent, 1 refused", *trouble))


def test_a_link_of_the_canary_that_is_broken_is_a_warning_and_each_has_its_last_time():
    """Whoever watches the health must not restart the bot for a sender's settings."""
    facts = _facts(SENTRY_CANARY="15m")
    earlier = facts.now - timedelta(minutes=20)
    links = (Link("sent", LinkState.OK, facts.now, 0.4), Link("webhook", LinkState.BROKEN))
    status = CanaryStatus(links, (("sent", facts.now), ("webhook", earlier)))
    facts = replace(facts, alerts=AlertsStatus(True, True), canary=status)
    (line,) = [line for line in status_of(facts) if line.flow == "canary"]
    assert (line.state, line.facts) == (WARNING, ("sent after 0.4 s, now", "webhook missing, last 20 minutes ago"))
    well, body = health_of(facts)
    assert well
    assert body["canary"] == {"sent": "ok", "webhook": "broken"}
    text = exposition(facts, ApiTimes())
    assert 'sentry_reporter_canary_link_up{link="sent"} 1.0' in text
    assert 'sentry_reporter_canary_link_up{link="webhook"} 0.0' in text
    assert 'sentry_reporter_canary_link_age_seconds{link="webhook"} 1200.0' in text


def test_a_canary_without_reporting_is_named():
    (hint,) = [hint for hint in _facts(SENTRY_CANARY="15m").settings.hints if "CANARY" in str(hint)]
    assert str(hint) == "SENTRY_CANARY has no effect without BOT_LOG_SENTRY = True and SENTRY_DSN"
