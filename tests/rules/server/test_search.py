"""Queries for servers that know less than Sentry: made right where possible, refused by name where not."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errbot_sentry.domain.errors import Unsupported
from errbot_sentry.domain.issues import ARCHIVED, UNRESOLVED
from errbot_sentry.server.glitchtip_search import glitchtip_query
from errbot_sentry.server.search import names_a_status, plain_search, terms_of


def test_terms_of_a_query():
    """Keys, values in quotes, negation, words, addresses."""
    terms = terms_of('level:error !is:resolved customer:"a b" it\'s http://x.test/y TypeError: "two words" OR (a)')
    assert [(term.key, term.value, term.negated) for term in terms] == [
        ("level", "error", False),
        ("is", "resolved", True),
        ("customer", "a b", False),
        ("", "it's", False),
        ("", "http://x.test/y", False),
        ("", "TypeError:", False),
        ("", "two words", False),
        ("", "OR", False),
        ("", "(", False),
        ("", "a", False),
        ("", ")", False),
    ]


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("", "is:unresolved"),
        ("division level:error", "is:unresolved level:error division"),
        ("is:resolved zero", "is:resolved zero"),
        ("is:archived", "is:ignored"),
        ("it's broken", 'is:unresolved "it\'s" broken'),
        ("9999aaaa-ca8b-46d7-97c2-3c6077c6ff01", "9999aaaaca8b46d797c23c6077c6ff01"),
        ("level:ERROR", "is:unresolved level:error"),
        ("customer:o'brien", 'is:unresolved customer:"o\'brien"'),
        ('customer:"a b" x', 'is:unresolved customer:"a b" x'),
        (r'path:"C:\dir"', r'is:unresolved path:"C:\\dir"'),
        ("TypeError: x is None", "is:unresolved TypeError x is None"),
        ("ZeroDiv*", "is:unresolved ZeroDiv*"),
        ("a AND b", "is:unresolved a b"),
        ('"', "is:unresolved"),
        ("release:lab@1.0.0 environment:prod", "is:unresolved release:lab@1.0.0 environment:prod"),
    ],
)
def test_glitchtip_gets_keys_first_and_text_last(text, sent):
    """After the first bare word it takes everything for text; an odd quote there is an error 500."""
    assert glitchtip_query(text, UNRESOLVED)[0] == sent


def test_without_a_status_none_is_added():
    """The poller asks for all."""
    assert glitchtip_query("", None)[0] == ""
    assert glitchtip_query("is:ignored", UNRESOLVED)[0] == "is:ignored"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("!level:error", "!level:"),
        ("-level:error", "!level:"),
        ("a OR b", "OR"),
        ("(a b)", "("),
        ("is:assigned", "is:assigned"),
        ("is:for_review", "is:for_review"),
        ("assigned:me", "assigned"),
        ("firstSeen:-24h", "firstSeen"),
        ("lastSeen:>2026-01-01", "lastSeen"),
        ("timesSeen:>10", "timesSeen"),
        ("error.type:ValueError", "error.type"),
        ("project:web", "use -p"),
        ("level:loud", "levels debug"),
        ("customer:[a,b]", "customer"),
        ("customer:ac*", "customer"),
        ("size:>3", "size"),
    ],
)
def test_glitchtip_refuses_by_name_what_it_would_answer_with_nothing(text, named):
    """An empty list would say that there is no such issue."""
    with pytest.raises(Unsupported) as caught:
        glitchtip_query(text, UNRESOLVED)
    assert named in str(caught.value)


def test_a_refusal_does_not_repeat_what_was_typed():
    """The bot must not say @here because somebody searched for it."""
    for text in ("!@here", "is:<!channel>", "customer:[@here]", "level:@here", "a" * 90 + ":>1"):
        with pytest.raises(Unsupported) as caught:
            glitchtip_query(text, None)
        assert "here" not in str(caught.value)
        assert "channel" not in str(caught.value)
        assert "a" * 60 not in str(caught.value)


@given(st.text())
def test_glitchtip_can_always_split_what_it_gets(text):
    """It splits like a shell, and answers 500 when that fails."""
    try:
        query, _note = glitchtip_query(text, UNRESOLVED)
    except Unsupported:
        return
    assert shlex.split(query)[0].startswith("is:")


@given(st.text(alphabet="ab'\"\\ :*$`", min_size=1, max_size=8))
def test_a_quoted_value_reaches_glitchtip_as_it_was(value):
    """Whatever quotes are in it."""
    written = value.replace("\\", "\\\\").replace('"', '\\"')
    query, _note = glitchtip_query(f'customer:"{written}"', None)
    assert shlex.split(query) == [f"customer:{value}"]


def test_a_plain_search_has_a_status_keys_and_words():
    """`is:` goes over the status that the command adds."""
    search = plain_search("Bugsink", 'zero is:muted level:error "by zero"', UNRESOLVED)
    assert (search.status, [term.key for term in search.keys], search.words) == (
        ARCHIVED,
        ["level"],
        ("zero", "by zero"),
    )


@pytest.mark.parametrize(
    ("text", "named"),
    [("is:resolved", True), ("is:unassigned", False), ("!is:ignored x", True), ('"is:resolved"', False)],
)
def test_a_status_in_the_text_is_seen(text, named):
    """Then none is added for Sentry either."""
    assert names_a_status(text) is named
