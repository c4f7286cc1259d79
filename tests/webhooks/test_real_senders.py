"""What real senders do that one body does not show: two deliveries, two ways, two rooms."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from errbot_sentry.domain.access import Access
from tests.alerting import bodies
from tests.alerting.world import World
from tests.webhooks.bodies import Body, load
from tests.webhooks.golden import KINDS, OPS, PROJECT, Rooms


def body_of(name: str) -> Body:
    return load("sentry", name)


# What comes one after the other, and the decisions about the second and those after it.
SEQUENCES = {
    "equal bodies are two deliveries, each with an id of its own": (
        ["issue_resolved", "issue_unresolved_by_user", "issue_resolved"],
        ["MY-PROJ-2F resolved by Ann Lee", "MY-PROJ-2F reopened by Ann Lee", "MY-PROJ-2F resolved by Ann Lee"],
    ),
    "the issue and the rule that watches it": (
        ["issue_resolved", "activity_alert_status_resolved"],
        ["MY-PROJ-2F resolved by Ann Lee"],
    ),
    "the old and the new name of archived": (
        ["issue_ignored", "issue_archived_in_2024"],
        ["MY-PROJ-2F archived by Ann Lee until it escalates"],
    ),
    "one step of Seer by its resource and by a rule": (
        ["seer_solution_completed", "activity_alert_seer_solution_completed"],
        ["MY-PROJ-2F Seer proposes a solution: Return zero for an empty basket before dividing."],
    ),
    "a pull request that names the issue resolves nothing": (
        ["activity_alert_appeared_in_pull_request", "issue_resolved"],
        ["MY-PROJ-2F appeared in a pull request by Ann Lee", "MY-PROJ-2F resolved by Ann Lee"],
    ),
}


@pytest.mark.parametrize(("names", "read"), SEQUENCES.values(), ids=SEQUENCES)
def test_what_a_room_reads_of_several_webhooks(tmp_path: Path, names: list[str], read: list[str]) -> None:
    """All within ten minutes, after the notification."""
    rooms = Rooms(tmp_path, "sentry")
    rooms.take(body_of("issue_created"))
    found = [text for at, name in enumerate(names) for text in rooms.take(body_of(name), f"{at:032x}").texts]
    assert found == read


def test_a_regression_by_two_ways_is_one_notification(tmp_path: Path) -> None:
    """`issue.unresolved`, and a rule on activity that watches the same issue."""
    rooms = Rooms(tmp_path, "sentry")
    rooms.take(body_of("issue_created"))
    rooms.take(body_of("issue_resolved"))
    rooms.world.at(rooms.world.seconds + 600)
    first = rooms.take(body_of("issue_unresolved_regressed"))
    second = rooms.take(body_of("activity_alert_status_regression"))
    assert (first.decisions, second.decisions) == (("regressed",), ("merged",))


@pytest.mark.parametrize(
    ("url", "org", "link"),
    [
        ("https://sentry.io", "acme", "https://acme.sentry.io/issues/4510001/"),
        ("https://de.sentry.io", "acme", "https://acme.sentry.io/issues/4510001/"),
        ("https://sentry.example.com", "acme", "https://sentry.example.com/organizations/acme/issues/4510001/"),
        ("https://sentry.example.com", "", ""),
    ],
)
def test_the_address_of_an_issue_that_comes_without_one(tmp_path: Path, url: str, org: str, link: str) -> None:
    """On sentry.io each organization has a host; without SENTRY_ORG there is no address to build."""
    world = World(tmp_path, [{"rooms": [OPS], "reasons": ["resolved"]}], poll=0, server_url=url, org=org)
    raw = body_of("issue_resolved").raw()
    world.flow.receiver.take(bodies.signed(raw, request_id="1"), raw, None)
    world.at(10)
    (message,) = world.chat.sent
    assert message.text.endswith(f" · {link}" if link else "by Ann Lee")


def test_only_sentrys_own_request_id_names_a_delivery(tmp_path: Path) -> None:
    """A proxy that adds one to GlitchTip's posts makes a retry of the same bytes no news."""
    rooms = Rooms(tmp_path, "glitchtip")
    one = load("glitchtip", "issue_alert_one")
    answers = [rooms.take(replace(one, headers={**one.headers, "Request-ID": each})).answer for each in "ab"]
    assert answers == ["202 Stored.", "200 This delivery was stored before."]


def test_a_body_in_the_format_of_a_chat_network_is_logged_with_what_to_set(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """GlitchTip shows our answer to nobody. `!sentry status` shows it until the next body is right."""
    rooms = Rooms(tmp_path, "glitchtip")
    with caplog.at_level(logging.WARNING):
        answer = rooms.take(load("glitchtip", "discord_issue_alert")).answer
    sentence = "This is GlitchTip's format for Discord. In GlitchTip, set the recipient's type to \"General webhook\"."
    assert answer == f"400 {sentence}"
    assert sentence in caplog.text
    assert rooms.world.flow.status().webhook_refused == sentence
    rooms.take(load("glitchtip", "uptime_down"))
    assert rooms.world.flow.status().webhook_refused == ""


@pytest.mark.parametrize(("match", "sent"), [("project=my-*", 1), ("project=other", 0)])
@pytest.mark.parametrize(("server", "name"), [("glitchtip", "test_notification"), ("bugsink", "test")])
def test_a_servers_test_reaches_every_room_of_its_project(
    tmp_path: Path, server: str, name: str, match: str, sent: int
) -> None:
    """A test has no level, no environment and no issue: only what a route says of the project counts."""
    route = {"rooms": [OPS], "match": [match, "level>=error", "environment=production", "tag.customer=acme"]}
    world = World(tmp_path, [route], kind=KINDS[server], projects=(PROJECT,), poll=0)
    world.plain_hook(load(server, name).content)
    world.at(10)
    assert len(world.chat.sent) == sent


@pytest.mark.parametrize(
    ("access", "sent"),
    [(Access(), 1), (Access(projects=("my-*",)), 0), (Access(room_projects={OPS: ("*",)}), 1)],
)
def test_an_uptime_alert_names_no_project_and_goes_where_nothing_is_hidden(
    tmp_path: Path, access: Access, sent: int
) -> None:
    """GlitchTip does not send the monitor's project."""
    world = World(tmp_path, [{"rooms": [OPS]}], poll=0, access=access)
    world.plain_hook(load("glitchtip", "uptime_down").content)
    world.at(10)
    assert len(world.chat.sent) == sent
