"""Matchers: Alertmanager's operators over an alert, globs for `=`, levels in their order."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errbot_sentry.config.matchers import Matcher, all_match, read_matcher
from errbot_sentry.domain.alerts import NEW, RULE, Alert

ALERT = Alert(
    delivery="d",
    reason=NEW,
    source="webhook",
    at=datetime(2026, 1, 1, tzinfo=timezone.utc),
    short_id="WEB-1A",
    title="TimeoutError: upstream",
    level="error",
    project="web-shop",
    environment="production",
    tags=(("customer", "acme"), ("env.zone", "b"), ("Userid", "42")),
    events=12,
    users=5,
    priority="medium",
    platform="python",
    first_seen=1767225600.0 - 1800,
    assignee="Backend",
    assignee_kind="team",
)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("project=web-*", True),
        ("project=WEB-SHOP", True),
        ("project!=web-*", False),
        ("project=api", False),
        ("level>=error", True),
        ("level=ERROR", True),
        ("level>=Error", True),
        ("priority=Medium", True),
        ("level>=warning", True),
        ("level>=fatal", False),
        ("tag.customer=acme", True),
        ("tag.env.zone = b", True),
        ("tag.customer!=acme", False),
        ("tag.absent!=x", True),
        ("tag.absent=", True),
        ('title=~"Timeout.*"', True),
        ("title=~Timeout", False),
        ("title!~.*upstream", False),
        ('title="timeouterror: upstream"', True),
        ("issue=web-1a", True),
        ("release=1.*", False),
        ("reason=new", True),
        ("tag.userId=42", True),
        ("tag.environment=production", True),
        ("events>=10", True),
        ("events>=13", False),
        ("events<13", True),
        ("events=12", True),
        ("users>=5", True),
        ("users>5", False),
        ("priority=medium", True),
        ("priority>=high", False),
        ("priority>=low", True),
        ("platform=python*", True),
        ("age<1h", True),
        ("age<=30m", True),
        ("age>=1h", False),
        ("assignee=team:backend", True),
        ("assignee=team:#Backend", True),
        ("assignee=back*", True),
        ("assignee!=team:web", True),
        ("assignee!=team:backend", False),
        ("assignee=nobody", False),
        ("level<fatal", True),
    ],
)
def test_one_condition(text, holds):
    """Each operator, on fields and tags, present and absent."""
    assert read_matcher(text).matches(ALERT) is holds


def test_an_unknown_level_is_below_every_level():
    """Bugsink sends none: `level>=error` must not page for it by accident."""
    without = Alert(delivery="d", reason=NEW, source="poll", at=ALERT.at)
    assert not read_matcher("level>=debug").matches(without)


@pytest.mark.parametrize(
    "text", ["events>=0", "users>=0", "priority>=low", "age>=0s", "age<9w", "events<9", "level<fatal"]
)
def test_an_amount_that_is_not_known_fits_no_comparison(text):
    """Neither from above nor from below."""
    without = Alert(delivery="d", reason=RULE, source="poll", at=ALERT.at)
    assert not read_matcher(text).matches(without)


def test_a_new_problem_has_the_age_of_nothing():
    """Sentry's hook about a created issue does not say when that was."""
    assert read_matcher("age<1m").matches(Alert(delivery="d", reason=NEW, source="webhook", at=ALERT.at))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "project",
        "levle=error",
        "tag.=x",
        "level>=loud",
        "project>=a",
        "events>=many",
        "events>=-1",
        "age<soon",
        "priority>=urgent",
        "priority=urgent",
        "level=errro",
        "age=1h",
        "title<x",
        "title=~(",
        "x" * 900 + "=1",
        "title=" + "x" * 500,
    ],
)
def test_what_is_no_matcher_is_refused_with_a_sentence(text):
    """It reaches the person who typed it."""
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        read_matcher(text)


def test_a_matcher_prints_as_it_can_be_typed_again():
    """Silences and subscriptions are shown that way."""
    for text in ("project=web-*", 'title=~"a b.*"', "tag.x!=", "level>=error", "events<3", "age<=1h30m"):
        assert read_matcher(str(read_matcher(text))) == read_matcher(text)


@given(
    st.sampled_from(["title", "tag.x"]),
    st.sampled_from(["=", "!="]),
    st.text(max_size=20) | st.text('~=!"( a', max_size=6),
)
def test_a_stored_matcher_is_read_as_the_same_again(name, operator, value):
    """`"title= ~(("` was stored as a regular expression that is none, and from then on no alert could be decided."""
    matcher = Matcher(name, operator, value)
    assert read_matcher(str(matcher)) == matcher


def test_no_matcher_matches_everything_and_all_must_hold():
    """As in Alertmanager."""
    assert all_match((), ALERT)
    assert not all_match((read_matcher("project=web-*"), read_matcher("level=info")), ALERT)
