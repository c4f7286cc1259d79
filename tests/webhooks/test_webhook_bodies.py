"""The collection holds together: whole files, no two alike, each explained."""

from __future__ import annotations

import json
import re

import pytest

from tests.webhooks.bodies import FOLDER, SERVERS, Body, every, load, of_resource, sign

# Sentry, src/sentry/sentry_apps/utils/webhooks.py and event_types.py; archived beside ignored until 2024.
ACTIONS = {
    "installation": {"created", "deleted"},
    "issue": {"created", "resolved", "assigned", "unresolved", "ignored", "archived"},
    "error": {"created"},
    "comment": {"created", "updated", "deleted"},
    "event_alert": {"triggered"},
    "activity_alert": {"triggered"},
    "metric_alert": {"critical", "warning", "resolved", "open"},
    "seer": {
        "root_cause_started", "root_cause_completed", "solution_started", "solution_completed", "coding_started",
        "coding_completed", "pr_created", "pr_ready_for_review", "iteration_started", "iteration_completed",
    },
    "preprod_artifact": {"size_analysis_completed", "build_distribution_completed"},
}  # fmt: skip
# S:notifications/notification_action/activity_registry/sentry_app.py (ActivityAlertType)
ACTIVITIES = {
    "status_resolved", "status_unresolved", "status_ignored", "status_regression", "status_escalating",
    "status_resolved_in_release", "status_resolved_by_age", "status_resolved_in_commit", "appeared_in_pull_request",
    "seer_root_cause_started", "seer_root_cause_completed", "seer_solution_started", "seer_solution_completed",
    "seer_coding_started", "seer_coding_completed", "seer_pr_created", "seer_pr_iteration_started",
    "seer_pr_iteration_completed",
}  # fmt: skip


@pytest.mark.parametrize("body", every(), ids=lambda body: f"{body.server}-{body.name}")
def test_a_file_has_three_parts_and_says_where_its_keys_are_from(body: Body):
    """A body without a source is an invention."""
    path = FOLDER / body.server / f"{body.name}.json"
    assert list(json.loads(path.read_text(encoding="utf-8"))) == ["source", "headers", "body"]
    assert re.search(r"[\w.-]+/[\w{},./-]+\.(py|mdx)\b|pull request \d+|issue \d+", body.source), body.source


def test_every_resource_has_a_body_for_each_of_its_actions():
    """A new action of the facts needs a body here."""
    found = {resource: {body.content["action"] for body in of_resource(resource)} for resource in ACTIONS}
    assert found == ACTIONS
    assert {body.resource for body in every("sentry")} - {""} == set(ACTIONS)


def test_every_activity_of_activity_alert_has_a_body():
    """The types that a rule on an issue's activity can send."""
    found = {body.content["data"]["activity"]["type"] for body in of_resource("activity_alert")}
    assert found == ACTIVITIES


@pytest.mark.parametrize("body", every("sentry"), ids=lambda body: body.name)
def test_a_body_of_the_integration_platform_has_the_envelope(body: Body):
    """S:sentry_apps/api/serializers/app_platform_event.py; `text` only sometimes."""
    if body.resource:
        assert list(body.content)[:4] == ["action", "installation", "data", "actor"]
        assert set(body.content) <= {"action", "installation", "data", "actor", "text"}
        assert re.fullmatch(r"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}", body.headers["Request-ID"])


def test_no_two_deliveries_have_the_same_request_id():
    """Sentry makes one for each."""
    ids = [body.headers["Request-ID"] for body in every("sentry") if body.resource]
    assert len(set(ids)) == len(ids)


def test_no_two_bodies_are_alike():
    """A second equal one would show nothing."""
    raw = [body.raw() for body in every()]
    assert len(set(raw)) == len(raw)


def test_a_delivery_is_signed_over_the_bytes_that_are_sent():
    """HMAC-SHA256 by the secret; checked with a sum from outside: openssl dgst -sha256 -hmac."""
    headers, raw = load("sentry", "comment_created").delivery("secret", request_id="f" * 32, timestamp=5)
    assert headers["Sentry-Hook-Signature"] == sign(raw, "secret")
    assert headers["Request-ID"] == "f" * 32
    assert headers["Sentry-Hook-Timestamp"] == "5"
    assert sign(b"hello", "key") == "9307b3b915efb5171ff14d8cb55fbcc798c6c0ef1456d66ded1a6aa723a58b7b"


@pytest.mark.parametrize("server", SERVERS)
def test_every_body_is_explained(server: str):
    """README.md has its source as the file has it."""
    readme = (FOLDER / "README.md").read_text(encoding="utf-8").partition(f"## {server}\n")[2].partition("\n## ")[0]
    for body in every(server):
        assert re.search(rf"^- `{body.name}`: .+ Source: {re.escape(body.source)}\.$", readme, re.MULTILINE), body.name
