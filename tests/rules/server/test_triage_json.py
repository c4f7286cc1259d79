"""What Sentry is asked to change, and when its answer is believed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from errbot_sentry.domain.errors import Unsupported
from errbot_sentry.domain.issues import ArchiveUntil, Assignee, ResolveIn
from errbot_sentry.server.payloads import triage_json
from errbot_sentry.server.payloads.bugsink_json import mute_action
from errbot_sentry.server.payloads.json_fields import Fields

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
CONDITION = "archived_until_condition_met"


@pytest.mark.parametrize(
    ("until", "details", "substatus"),
    [
        (ArchiveUntil(), {}, "archived_forever"),
        (ArchiveUntil(escalating=True), {}, "archived_until_escalating"),
        (ArchiveUntil(span=2 * HOUR), {"ignoreDuration": 120}, CONDITION),
        (ArchiveUntil(span=timedelta(seconds=61)), {"ignoreDuration": 2}, CONDITION),
        (ArchiveUntil(events=10), {"ignoreCount": 10}, CONDITION),
        (ArchiveUntil(events=10, window=5 * MINUTE), {"ignoreCount": 10, "ignoreWindow": 5}, CONDITION),
        (ArchiveUntil(users=3), {"ignoreUserCount": 3}, CONDITION),
        (ArchiveUntil(users=3, window=168 * HOUR), {"ignoreUserCount": 3, "ignoreUserWindow": 10080}, CONDITION),
    ],
)
def test_archives_in_sentrys_words(until, details, substatus):
    """sentry-openapi.json, updateOrganizationIssue."""
    wanted = {"status": "ignored", "statusDetails": details, "substatus": substatus}
    assert triage_json.archive_body(until) == wanted


def test_a_window_longer_than_a_week_is_refused():
    """Sentry would answer 400."""
    with pytest.raises(Unsupported, match="7 days"):
        triage_json.archive_body(ArchiveUntil(events=1, window=timedelta(days=8)))


@pytest.mark.parametrize(
    ("until", "answer", "shown"),
    [
        (ArchiveUntil(), {"substatus": "archived_forever"}, True),
        (ArchiveUntil(), {}, True),  # an old server without substatus
        (ArchiveUntil(), {"substatus": "archived_until_escalating"}, False),
        (ArchiveUntil(), {"statusDetails": {"ignoreCount": 5}}, False),
        (ArchiveUntil(), {"status": "resolved", "substatus": "archived_forever"}, False),
        (ArchiveUntil(escalating=True), {"substatus": "archived_until_escalating"}, True),
        (ArchiveUntil(escalating=True), {}, False),
        (ArchiveUntil(span=HOUR), {"statusDetails": {"ignoreUntil": "2026-11-21T10:00:00Z"}}, True),
        (ArchiveUntil(span=HOUR), {"substatus": "archived_forever"}, False),
        (ArchiveUntil(events=10), {"statusDetails": {"ignoreCount": 10}}, True),
        (ArchiveUntil(events=10), {"statusDetails": {"ignoreCount": 9}}, True),  # one has come meanwhile
        (ArchiveUntil(events=10), {"statusDetails": {"ignoreCount": 100}}, False),
        (ArchiveUntil(events=10), {"statusDetails": {"ignoreUserCount": 10}}, False),
        (ArchiveUntil(events=10, window=MINUTE), {"statusDetails": {"ignoreCount": 10}}, False),
        (ArchiveUntil(users=2), {"statusDetails": {"ignoreUserCount": 2}}, True),
    ],
)
def test_an_archive_is_believed_when_it_is_just_that(until, answer, shown):
    """Never a longer one instead."""
    assert triage_json.shows_archive(Fields({"status": "ignored", **answer}), until) is shown


@pytest.mark.parametrize(
    ("when", "details", "shown"),
    [
        (ResolveIn(next_release=True), {"inNextRelease": True}, True),
        (ResolveIn(next_release=True), {"inRelease": "1.1"}, True),  # it is known by then
        (ResolveIn(next_release=True), {}, False),
        (ResolveIn(latest_release=True), {"inRelease": "1.0"}, True),
        (ResolveIn(latest_release=True), {"inNextRelease": True}, False),
        (ResolveIn(release="1.0"), {"inRelease": "1.0"}, True),
        (ResolveIn(release="1.0"), {"inRelease": "1.1"}, False),
        (ResolveIn(release="1.0"), {}, False),
        (ResolveIn(commit=("r", "c")), {"inCommit": {"id": "c"}}, True),
        (ResolveIn(commit=("r", "c")), {"inRelease": "1.0"}, True),  # the release that has the commit
        (ResolveIn(commit=("r", "c")), {}, False),
    ],
)
def test_a_resolution_is_believed_when_it_is_just_that(when, details, shown):
    """A plain resolve is not a resolve by release."""
    answer = Fields({"status": "resolved", "statusDetails": details})
    assert triage_json.shows_resolution(answer, when) is shown
    assert not triage_json.shows_resolution(Fields({"status": "unresolved", "statusDetails": details}), when)


ANN = {"type": "user", "id": "7", "name": "Ann", "email": "Ann@example.com"}
OPS = {"type": "team", "id": "41", "name": "ops"}


@pytest.mark.parametrize(
    ("assignee", "answer", "shown"),
    [
        (None, None, True),
        (None, ANN, False),
        (Assignee("user", "", "ann@example.com"), ANN, True),
        (Assignee("user", "", "bob@example.com"), ANN, False),
        (Assignee("user", "", "ann@example.com"), OPS, False),
        (Assignee("user", "", "ann@example.com"), None, False),
        (Assignee("user", "Ann", "", "7"), ANN, True),
        (Assignee("user", "Ann", "", "8"), ANN, False),
        (Assignee("team", "ops", "", "41"), OPS, True),
        (Assignee("team", "ops", "", "42"), OPS, False),
    ],
)
def test_an_assignee_is_believed_when_it_is_just_that(assignee, answer, shown):
    """By mail in any case, else by id."""
    assert triage_json.shows_assignee(Fields({"assignedTo": answer}), assignee) is shown


@pytest.mark.parametrize(
    ("assignee", "value"),
    [
        (None, ""),
        (Assignee("user", "", "ann@example.com"), "ann@example.com"),
        (Assignee("user", "Ann", "ann@example.com", "7"), "user:7"),
        (Assignee("team", "ops", "", "41"), "team:41"),
        (Assignee("team", "ops"), "team:ops"),
    ],
)
def test_assignees_as_they_are_sent(assignee, value):
    """By id where it is known."""
    assert triage_json.assignee_value(assignee) == value


@pytest.mark.parametrize(
    ("until", "action"),
    [
        (ArchiveUntil(), ("mute", None)),
        (ArchiveUntil(span=2 * HOUR), ("mute-for", {"period_name": "hour", "nr_of_periods": 2})),
        (ArchiveUntil(span=90 * MINUTE), ("mute-for", {"period_name": "minute", "nr_of_periods": 90})),
        (ArchiveUntil(span=timedelta(days=14)), ("mute-for", {"period_name": "week", "nr_of_periods": 2})),
        (ArchiveUntil(span=timedelta(days=3)), ("mute-for", {"period_name": "day", "nr_of_periods": 3})),
        (
            ArchiveUntil(events=10, window=5 * MINUTE),
            ("mute-until", {"period_name": "minute", "nr_of_periods": 5, "gte_threshold": 10}),
        ),
    ],
)
def test_archives_in_bugsinks_words(until, action):
    """Its largest unit that is exact."""
    assert mute_action(until) == action
