"""Webhooks in: every answer, durable before 202, and nothing that a body can break."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from errbot_sentry.alerting.receive.receiver import LARGEST_BODY, SAME_BODY_SPAN, WebhookReceiver
from errbot_sentry.config.secrets import Secret
from errbot_sentry.config.settings import AlertSettings
from errbot_sentry.domain.alerts import COMMENTED, METRIC, NEW, REGRESSED, RULE, SEEN_ARCHIVED, TEST, Alert
from tests.alerting import bodies
from tests.alerting.world import VirtualClock
from tests.stores import store_at
from tests.webhooks.bodies import load

SETTINGS = AlertSettings(webhook_secrets=(bodies.SECRET, Secret("the-next-secret")), webhook_tokens=(bodies.TOKEN,))


class CommandContext:
    """A receiver on a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.clock = VirtualClock()
        self.store = store_at(f"sqlite:///{folder / 's.sqlite3'}")
        self.more: list[int] = []
        self.receiver = WebhookReceiver(SETTINGS, self.store, self.clock, self.more.append)
        self.receiver.open()

    def post(self, body: object, resource: str = "issue", request_id: str = "") -> int:
        raw = body if isinstance(body, bytes) else bodies.encode(body)
        return self.receiver.take(bodies.signed(raw, resource, request_id), raw, None).status

    def post_plain(self, body: object) -> int:
        raw = body if isinstance(body, bytes) else bodies.encode(body)
        return self.receiver.take({}, raw, bodies.TOKEN.reveal()).status

    def forget(self) -> None:
        with self.store.write() as tx:
            for row in tx.inbox.waiting(1e12, 1000, is_known=False)[0]:
                tx.inbox.decide(row.id, row.alert, [], 0.0)

    def stored(self) -> list[Alert]:
        with self.store.read() as tx:
            return [row.alert for row in tx.inbox.waiting(1e12, 1000, is_known=False)[0]]


@pytest.fixture
def context(tmp_path: Path) -> CommandContext:
    return CommandContext(tmp_path)


def test_a_signed_issue_is_stored_before_the_answer(context: CommandContext, tmp_path: Path) -> None:
    assert context.post(bodies.sentry_issue()) == 202
    (alert,) = context.stored()
    assert (alert.reason, alert.short_id, alert.project, alert.level) == (NEW, "SHOP-101", "shop", "error")
    with store_at(f"sqlite:///{tmp_path / 's.sqlite3'}").read() as tx:  # another connection sees it: it is on disk
        assert tx.inbox.waiting_count()[0] == 1


@pytest.mark.parametrize("secret", SETTINGS.webhook_secrets)
def test_both_secrets_count_while_they_are_rotated(context: CommandContext, secret: Secret) -> None:
    raw = bodies.encode(bodies.sentry_issue())
    assert context.receiver.take(bodies.signed(raw, secret=secret), raw, None).status == 202


def test_whoever_is_not_authentic_gets_one_and_the_same_answer(context: CommandContext) -> None:
    raw = bodies.encode(bodies.sentry_issue())
    good = bodies.signed(raw)
    answers = {
        context.receiver.take(headers, body, token)
        for headers, body, token in [
            ({}, raw, None),
            ({**good, "Sentry-Hook-Signature": ""}, raw, None),
            ({**good, "Sentry-Hook-Signature": "é" * 64}, raw, None),
            ({**good, "Sentry-Hook-Signature": "0" * 64}, raw, None),
            (good, raw + b" ", None),
            (bodies.signed(raw, secret=Secret("wrong")), raw, None),
            (good, raw, "wrong"),
            (good, raw, ""),
            ({}, b"\xff", "wrong\udcff"),
        ]
    }
    assert {answer.status for answer in answers} == {401}
    assert len(answers) == 1
    assert context.stored() == []


def test_header_names_in_any_case(context: CommandContext) -> None:
    raw = bodies.encode(bodies.sentry_issue())
    assert context.receiver.take({k.upper(): v for k, v in bodies.signed(raw).items()}, raw, None).status == 202


def test_without_secrets_nothing_is_authentic(tmp_path: Path) -> None:
    receiver = WebhookReceiver(
        AlertSettings(), store_at(f"sqlite:///{tmp_path / 's'}"), VirtualClock(), lambda more: None
    )
    receiver.open()
    raw = bodies.encode(bodies.sentry_issue())
    assert receiver.take(bodies.signed(raw, secret=Secret("")), raw, None).status == 401
    assert receiver.take({}, raw, "").status == 401


def test_the_same_delivery_again_is_known(context: CommandContext) -> None:
    assert context.post(bodies.sentry_issue(), request_id="one") == 202
    assert context.post(bodies.sentry_issue(), request_id="one") == 200
    context.clock.advance(SAME_BODY_SPAN * 100)
    assert context.post(bodies.sentry_issue(count="2"), request_id="one") == 200, "the id alone is enough, for 30 days"
    assert context.post(bodies.sentry_issue(count="3"), request_id="two") == 202
    assert context.post(bodies.sentry_issue(count="3"), request_id="three") == 202, "equal bodies, two deliveries"
    assert len(context.stored()) == 3


def test_the_same_bytes_a_week_later_are_news(context: CommandContext) -> None:
    """GlitchTip sends neither ids nor times: a regression next week is the same bytes."""
    assert context.post_plain(bodies.glitchtip(16)) == 202
    assert context.post_plain(bodies.glitchtip(16)) == 200
    context.clock.advance(SAME_BODY_SPAN + 1)
    assert context.post_plain(bodies.glitchtip(16)) == 202


@pytest.mark.parametrize("resource", ["installation", "seer", "preprod_artifact", "something_new"])
def test_resources_without_an_alert(context: CommandContext, resource: str) -> None:
    assert context.post({"action": "created", "data": {}}, resource) == 200
    assert context.stored() == []


def test_what_each_resource_comes_to(context: CommandContext) -> None:
    assert context.post(bodies.sentry_issue("1", "ignored"), "issue") == 202
    assert context.post(bodies.sentry_issue("2", "archived"), "issue") == 202
    assert context.post(bodies.sentry_issue("3", "unresolved", substatus="regressed"), "issue") == 202
    assert context.post(bodies.sentry_event_alert("4"), "event_alert") == 202
    assert context.post(bodies.metric_alert(), "metric_alert") == 202
    comment = {"comment": "look at\nthis", "issue_id": 6, "project_slug": "shop", "comment_id": 1}
    assert (
        context.post({"action": "created", "data": comment, "actor": {"type": "user", "name": "Ann"}}, "comment") == 202
    )
    assert context.post({"action": "deleted", "data": comment}, "comment") == 200
    found = context.stored()
    assert [alert.reason for alert in found] == [SEEN_ARCHIVED, SEEN_ARCHIVED, REGRESSED, RULE, METRIC, COMMENTED]
    rule, metric, said = found[3:]
    assert (rule.project, rule.environment, rule.release, dict(rule.tags)["customer"], rule.rule) == (
        "shop", "production", "shop@1.2.0", "acme", "Many errors",
    )  # fmt: skip
    assert (metric.issue_id, metric.project, metric.level) == ("metric-9", "shop", "fatal")
    assert (said.issue_id, said.text, said.actor) == ("6", "look at this", "Ann")


def test_senders_that_cannot_sign(context: CommandContext) -> None:
    assert context.post_plain(bodies.bugsink()) == 202
    assert context.post_plain(bodies.bugsink(reason="TEST")) == 202
    assert context.post_plain(bodies.legacy()) == 202
    assert context.post_plain(bodies.glitchtip(16, 17, 18, claimed=5)) == 202
    sink, test, old, *tips = context.stored()
    assert (sink.short_id, sink.project_id, sink.project_name, sink.events) == ("ERRBOT-1", "1", "Errbot", 15)
    assert test.reason == TEST
    assert (old.issue_id, old.project, old.environment, old.rule) == ("33", "shop", "staging", "Every new issue")
    assert "referrer" not in old.link
    assert [(tip.issue_id, tip.short_id, tip.level, tip.environment) for tip in tips] == [
        (str(n), f"LAB-APP-{n}", None, "production") for n in (16, 17, 18)
    ]
    assert context.more == [0, 0, 0, 2], "two issues that the sender mentions and does not send"


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"[]", b'"x"', b"1", b"null", b"\xff\xfe\x00", b'{"a": NaN}', b'{"a": Infinity}',
        b"[" * 100_000, b'{"a":' * 100_000, b'{"a": ' + b"9" * 5000 + b"}", b"{}", b'{"data": []}', b'{"data": {}}',
        b'{"data": {"issue": 5}}', b'{"data": {"issue": {"id": []}}}', b'{"action": {}, "data": {"issue": {}}}',
    ],
)  # fmt: skip
def test_bad_bodies_are_refused_with_a_sentence(context: CommandContext, raw: bytes) -> None:
    answer = context.receiver.take(bodies.signed(raw), raw, None)
    assert answer.status == 400
    assert answer.text.endswith(".")
    assert context.receiver.take({}, raw, bodies.TOKEN.reveal()).status == 400
    assert context.stored() == []


def test_numbers_that_json_does_not_have_are_refused(context: CommandContext) -> None:
    assert context.post(bodies.sentry_issue(count=float("nan"))) == 400
    assert context.post(bodies.sentry_issue(count=float("inf"))) == 400


def test_a_huge_body_is_refused_before_it_is_read(context: CommandContext) -> None:
    raw = b" " * (LARGEST_BODY + 1)
    assert context.receiver.take({}, raw, None).status == 413


def test_closed_is_503(context: CommandContext) -> None:
    context.receiver.close()
    assert context.post(bodies.sentry_issue()) == 503


def test_a_flood_that_cannot_be_stored_fills_no_log(
    context: CommandContext, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once with its cause, then once a minute with how many they were."""
    context.store.close()
    refused = [context.post(bodies.sentry_issue(number), request_id=str(number)) for number in range(20)]
    context.clock.advance(60)
    refused.append(context.post(bodies.sentry_issue(20), request_id="20"))
    assert set(refused) == {503}
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.getMessage().split(" webhooks")[0] for record in errors] == ["1", "20"]
    assert all(record.exc_info for record in errors)


def test_hostile_values_are_stored_short_and_clean(context: CommandContext) -> None:
    title = "\x00\x1b[2J a\r\nPRIVMSG #x :hi \ud800 " + "x" * 10_000
    body = bodies.sentry_issue(title=title, web_url="javascript:alert(1)", count="9" * 30, level=["x"], shortId={})
    assert context.post(json.dumps(body).encode()) == 202
    (alert,) = context.stored()
    assert len(alert.title) <= 500
    assert not any(ord(char) < 32 or 0xD800 <= ord(char) < 0xE000 for char in alert.title)
    assert (alert.link, alert.events, alert.level, alert.short_id) == ("", None, None, "")


_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_SHAPES: list[tuple[str, dict[str, Any]]] = [
    ("issue", bodies.sentry_issue()),
    ("issue", bodies.sentry_issue(action="unresolved")),
    ("event_alert", bodies.sentry_event_alert()),
    ("metric_alert", bodies.metric_alert()),
    ("comment", {"action": "created", "data": {"comment": "x", "issue_id": 6, "project_slug": "shop"}}),
    ("activity_alert", {"action": "triggered", "data": {"issue": {"id": 1}, "activity": {"type": "status_resolved"}}}),
    ("seer", {"action": "pr_created", "data": {"group_id": 1, "pull_requests": [{"repo_name": "a/b"}]}}),
    ("error", {"action": "created", "data": {"error": {"issue_id": 1, "title": "x", "tags": [["a", "b"]]}}}),
    ("", bodies.bugsink()),
    ("", bodies.glitchtip(1, 2)),
    ("", bodies.legacy()),
    ("", {"project": {"slug": "shop"}, "group": {"id": 1}, "event": {"title": "x", "tags": {"a": "b"}}}),
]


def _paths(value: object, path: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, each in inner for found in _paths(each, (*path, key)))]


def _spoil(body: object, path: tuple[Any, ...], junk: object) -> object:
    if not path:
        return junk
    copy: Any = dict(body) if isinstance(body, dict) else list(body)
    copy[path[0]] = _spoil(copy[path[0]], path[1:], junk)
    return copy


@st.composite
def _deliveries(draw: st.DrawFn) -> tuple[str, bytes]:
    resource, body = draw(st.sampled_from(_SHAPES))
    path = draw(st.sampled_from(_paths(body)))
    raw = json.dumps(_spoil(body, path, draw(_JUNK))).encode()
    how = draw(st.sampled_from(["whole", "whole", "whole", "cut", "bytes"]))
    if how == "cut":
        raw = raw[: draw(st.integers(0, len(raw)))]
    if how == "bytes":
        place = draw(st.integers(0, len(raw)))
        raw = raw[:place] + draw(st.binary(min_size=1, max_size=5)) + raw[place:]
    return resource, raw


def test_a_thousand_and_more_generated_bodies(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Only 2xx and 4xx, no traceback, and stored exactly when the answer says so."""
    context = CommandContext(tmp_path)
    count = 0

    @settings(max_examples=1200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(_deliveries())
    def check(delivery: tuple[str, bytes]) -> None:
        nonlocal count
        resource, raw = delivery
        count += 1
        signed = context.receiver.take(bodies.signed(raw, resource, f"id-{count}"), raw, None)
        assert signed.status in (200, 202, 400)
        stored = context.stored()
        told_of_more = bool(context.more and context.more.pop())
        assert (bool(stored) or told_of_more) is (signed.status == 202)
        if stored:
            context.forget()

    check()
    assert count >= 1000
    assert [record for record in caplog.records if record.exc_info] == []
    assert context.post(bodies.sentry_issue("999")) == 202, "it still answers"


NO_IDS = [
    "1005 1006 1007 --in @next", "1005\n1006", "-1", "+5", "1e3", "5.0", "٣", "９", "0x10", "@latest", "#3", "WEB-1",
    "9" * 20, str(2**63), "metric-9", "5e1d4c1e-0000-4000-8000-00000000000g", "{5e1d4c1e-0000-4000-8000-000000000001}",
    5.5, -1, "1;2",
]  # fmt: skip


@pytest.mark.parametrize("wrong", NO_IDS)
def test_what_is_no_id_of_the_server_is_no_webhook_of_it(context: CommandContext, wrong: object) -> None:
    """A reaction under such an alert once became a command for several issues."""
    legacy = {**bodies.legacy(), "id": wrong}
    for body in (
        bodies.bugsink(issue_id=wrong),
        legacy,
        {**bodies.legacy(), "event": {"title": "x", "issue_id": wrong}},
        {"project": {"slug": "shop"}, "group": {"id": wrong}, "event": {"title": "x"}},
    ):
        assert context.post_plain(body) == 400
    comment = {"comment": "x", "issue_id": wrong, "project_slug": "shop"}
    activity = {"issue": {"id": wrong}, "activity": {"type": "status_resolved"}}
    metric = bodies.metric_alert()
    metric["data"]["metric_alert"]["alert_rule"]["id"] = wrong
    for resource, body in (
        ("issue", bodies.sentry_issue(wrong)),
        ("event_alert", bodies.sentry_event_alert(wrong)),
        ("comment", {"action": "created", "data": comment}),
        ("activity_alert", {"action": "triggered", "data": activity}),
        ("seer", {"action": "pr_created", "data": {"group_id": wrong}}),
        ("error", {"action": "created", "data": {"error": {"issue_id": wrong, "title": "x"}}}),
        ("metric_alert", metric),
    ):
        assert context.post(body, resource) == 400
    glitchtip = bodies.glitchtip(1)
    glitchtip["attachments"][0]["title_link"] = f"https://glitchtip.example.com/lab-org/issues/{wrong}"
    context.post_plain(glitchtip)
    assert [alert.issue_id for alert in context.stored()] == []


@pytest.mark.parametrize("number", [10**400, True, "7", None, [1]])
def test_a_number_that_is_none_loses_no_alert(context: CommandContext, number: object) -> None:
    metric = load("sentry", "metric_alert_critical").content
    metric["data"]["metric_alert"]["alert_rule"]["triggers"][0]["alert_threshold"] = number
    issue = load("sentry", "event_alert_metric_issue").content
    issue["data"]["event"]["occurrence"]["evidenceData"]["value"] = number
    assert (context.post(metric, "metric_alert", "a"), context.post(issue, "event_alert", "b")) == (202, 202)
    assert [alert.text for alert in context.stored()] == [
        "120 events in the last 10 minutes",
        "Critical: p95(transaction.duration) in the last 10 minutes above 800",
    ]


@pytest.mark.parametrize("details", [{"ignoreCount": 3, "ignoreWindow": -(2**62)}, {"ignoreCount": -3}])
def test_a_negative_number_in_how_it_was_archived_loses_no_alert(
    context: CommandContext, details: dict[str, int]
) -> None:
    body = bodies.sentry_issue(action="ignored", statusDetails=details)
    assert context.post(body) == 202
    assert [(alert.reason, "-" in alert.how) for alert in context.stored()] == [(SEEN_ARCHIVED, False)]


def test_ids_are_kept_as_the_server_writes_them(context: CommandContext) -> None:
    uuid = "5E1D4C1E000040008000000000000001"
    assert context.post_plain(bodies.bugsink(issue_id=uuid)) == 202
    assert context.post(bodies.sentry_issue("000101")) == 202
    assert [alert.issue_id for alert in context.stored()] == ["5e1d4c1e-0000-4000-8000-000000000001", "101"]


@pytest.mark.parametrize("wrong", ["WEB-1 WEB-2", "web*-1", "~(", "A" * 400 + "-1", "-1", "WEB-", "#3", "x\u202e-1"])
def test_what_is_no_short_id_or_slug_is_not_kept(context: CommandContext, wrong: str) -> None:
    """The server is asked for them then; whatever has come as one is matched, shown and taken apart later."""
    body = bodies.sentry_issue("1", shortId=wrong)
    body["data"]["issue"]["project"].update(id=wrong, slug=wrong)
    assert context.post(body) == 202
    assert context.post(bodies.sentry_event_alert("2", wrong), "event_alert") == 202
    assert context.post_plain(bodies.bugsink(friendly_id=wrong, project=wrong)) == 202
    assert context.post_plain({**bodies.legacy(), "project_slug": wrong, "project": wrong}) == 400
    assert [(alert.short_id, alert.project) for alert in context.stored()] == [("", "")] * 3
    assert [alert.project_id for alert in context.stored()] == ["", "7", ""]
