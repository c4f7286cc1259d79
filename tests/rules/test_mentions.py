"""A route's mention rule: read from settings, stored, and decided upon."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errbot_sentry.alerting.decide.messages import (
    MentionChoice,
    MentionReason,
    mention_for_assignment,
    mention_for_notification,
)
from errbot_sentry.config.mention_rules import Mention, load_mention, read_mention, write_mention
from errbot_sentry.domain.issues import Assignee
from tests.tables import table

ANN = Assignee("user", "Ann Lee", "Ann@example.org")
BACKEND = Assignee("team", "backend")
RULE = Mention("@oncall", assignee=True, teams=(("#Backend", "@backend-oncall"),))


def test_every_form_is_read():
    assert read_mention("@oncall") == Mention("@oncall")
    assert read_mention("") == Mention()
    assert read_mention("assignee") == Mention(assignee=True)
    raw = {"assignee": True, "teams": {"backend": "@backend-oncall", "web": "<!subteam^S1>"}, "else": "@oncall"}
    teams = (("backend", "@backend-oncall"), ("web", "<!subteam^S1>"))
    assert read_mention(raw) == Mention("@oncall", assignee=True, teams=teams)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (7, "neither a string nor a dict"),
        (None, "neither a string nor a dict"),
        (["@a"], "neither a string nor a dict"),
        ({"assigne": True}, "unknown key 'assigne'; a mention has assignee, teams, else"),
        ({"assignee": "yes"}, "'yes' is neither True nor False"),
        ({"else": "@oncall"}, "write a fixed text alone"),
        ({"assignee": False}, 'neither "assignee": True nor "teams"'),
        ({"teams": ["backend"]}, '"teams": ['),
        ({"teams": {"backend": ""}}, "for 'backend': '' is not a string of one line"),
        ({"teams": {7: "@a"}}, "7 is not a string of one line"),
        ({"teams": {"backend": "@a", "#Backend": "@b"}}, "'#Backend' is listed twice"),
        ({"assignee": True, "else": ["@a"]}, "\"else\": ['@a'] is not a string"),
        ({"assignee": True, "else": "a\nb"}, "not a string of one line"),
    ],
)
def test_a_mistake_says_what_is_wanted(raw, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        read_mention(raw)


@given(
    st.builds(Mention, st.text(), st.booleans(), st.just((("backend", "@b"), ("web", "{"))))
    | st.builds(Mention, st.text())
)
def test_a_rule_is_read_back_as_it_was_written(rule):
    assert load_mention(write_mention(rule)) == rule


def test_a_plain_text_is_stored_as_it_stands():
    """So that what older versions stored is still understood."""
    assert write_mention(Mention("@oncall **now**")) == "@oncall **now**"


FIXED = Mention("@oncall")
ONLY_TEAMS = Mention(teams=(("backend", "@b"),))
NOTIFICATIONS = (
    ("a fixed text", FIXED, ANN, "<@U1>", MentionChoice(MentionReason.FIXED, "@oncall")),
    ("no rule", Mention(), ANN, "<@U1>", MentionChoice(MentionReason.FIXED)),
    ("the linked assignee", RULE, ANN, "<@U1>", MentionChoice(MentionReason.OWNER, "<@U1>", "ann@example.org")),
    ("an assignee who is not linked", RULE, ANN, "", MentionChoice(MentionReason.OTHERWISE, "@oncall")),
    ("a team of the rule", RULE, BACKEND, "", MentionChoice(MentionReason.TEAM, "@backend-oncall", "team:backend")),
    ("another team", RULE, Assignee("team", "web"), "", MentionChoice(MentionReason.OTHERWISE, "@oncall")),
    ("nobody has it", RULE, None, "", MentionChoice(MentionReason.OTHERWISE, "@oncall")),
    ("only teams, and a person", ONLY_TEAMS, ANN, "<@U1>", MentionChoice(MentionReason.OTHERWISE)),
    ("only persons, and a team", Mention(assignee=True), BACKEND, "", MentionChoice(MentionReason.OTHERWISE)),
)


@table(("rule", "owner", "linked", "expected"), NOTIFICATIONS)
def test_whom_a_notification_mentions(rule, owner, linked, expected):
    assert mention_for_notification(rule, owner, linked) == expected


OF_ANN = MentionChoice(MentionReason.OWNER, "<@U1>", "ann@example.org")
OF_BACKEND = MentionChoice(MentionReason.TEAM, "@backend-oncall", "team:backend")
BEFORE, NOT_IN_RULE = MentionChoice(MentionReason.MENTIONED_BEFORE), MentionChoice(MentionReason.NOT_IN_RULE)
OWN_CHANGE = MentionChoice(MentionReason.OWN_CHANGE, "", "ann@example.org")
ASSIGNMENTS = (
    ("somebody assigns her", RULE, ANN, "<@U1>", "Bob", "", OF_ANN),
    ("another was mentioned", RULE, ANN, "<@U1>", "Bob", "team:backend", OF_ANN),
    ("she was mentioned last", RULE, ANN, "<@U1>", "Bob", "ann@example.org", BEFORE),
    ("her own change", RULE, ANN, "<@U1>", "Ann Lee", "", OWN_CHANGE),
    ("she is not linked", RULE, ANN, "", "Bob", "", MentionChoice(MentionReason.UNLINKED)),
    ("nobody has it: no `else`", RULE, None, "", "Bob", "", MentionChoice(MentionReason.NO_OWNER)),
    ("a team of the rule", RULE, BACKEND, "", "Bob", "", OF_BACKEND),
    ("a person of the team's name", RULE, BACKEND, "", "backend", "", OF_BACKEND),
    ("a fixed text", FIXED, ANN, "<@U1>", "Bob", "", NOT_IN_RULE),
    ("only teams, and a person", ONLY_TEAMS, ANN, "<@U1>", "Bob", "", NOT_IN_RULE),
)  # fmt: skip


@table(("rule", "owner", "linked", "actor", "mentioned", "expected"), ASSIGNMENTS)
def test_whom_an_assignment_mentions(rule, owner, linked, actor, mentioned, expected):
    """Nobody but the new owner, once, and not for their own change; `else` is for notifications."""
    assert mention_for_assignment(rule, owner, linked, actor, mentioned) == expected
