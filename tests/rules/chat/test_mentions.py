"""How people are called on each network, from the identifiers that Errbot's own backends make of them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from errbot.backends.irc import IRC_CHRS, IRCPerson, IRCRoomOccupant, irc_md
from errbot.backends.test import TestPerson
from errbot.backends.text import TextPerson
from errbot.rendering import text
from errbot.rendering.ansiext import enable_format

from errbot_sentry.chat.person_mentions import direct_address, mention_of
from errbot_sentry.chat.render.escaping import Escape
from errbot_sentry.chat.typed_messages import person_of


def like(**attributes: str) -> SimpleNamespace:
    """A person as a backend that cannot be imported here makes it."""
    return SimpleNamespace(**attributes)


@pytest.mark.parametrize(
    ("mode", "person", "mention"),
    [
        ("irc", IRCPerson("alice!ann@host"), "alice"),
        ("irc", IRCRoomOccupant("al[1]_!ann@host", "#ops"), "al\\[1\\]\\_"),
        ("text", TextPerson("@admin"), "@admin"),
        ("test", TestPerson("bob"), "@bob"),
        ("slackv3", like(userid="U0123ABCD", username="ann"), "<@U0123ABCD>"),
        ("slackv3", like(userid="W0123ABCD"), "<@W0123ABCD>"),
        ("discord", like(id="123456789012345678", username="ann"), "<@123456789012345678>"),
        ("mattermost", like(username="ann.lee_x"), "@ann.lee_x"),
        ("telegram", like(username="ann_lee", id="17"), "@ann\\_lee"),
        ("telegram", like(username=None, first_name="Ann", id="17"), "[Ann](tg://user?id=17)"),
        ("telegram", like(username=None, first_name="](x) <b>", id="17"), "[17](tg://user?id=17)"),
        ("zulip", like(nick=None, fullname="Ann O'Lee-Ünal"), "@**Ann O'Lee-Ünal**"),
        ("xmpp", like(nick="ann", resource="phone"), "ann"),
        ("xmpp", like(nick="ops", resource="Ann", room="ops@conf"), "Ann"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_network_has_its_own_way_to_call_a_person(mode, person, mention):
    assert mention_of(mode, person) == mention


@pytest.mark.parametrize(
    ("mode", "person"),
    [
        ("slackv3", like(userid="B0123ABCD")),  # an integration: nobody reads there
        ("slackv3", like(userid="U1> <!channel")),
        ("slackv3", like(userid=None)),
        ("discord", like(id="everyone")),
        ("mattermost", like(username="all")),
        ("mattermost", like(username="Channel")),
        ("zulip", like(fullname="Everyone")),
        ("zulip", like(fullname="stream")),
        ("zulip", like(fullname="x** @**all")),
        ("zulip", like(fullname="Bob|9")),
        ("telegram", like(username=None, id="-17")),
        ("telegram", like(username="x @here")),
        ("xmpp", like(nick="ops", resource="@here", room="ops@conf")),
        ("xmpp", like(nick="ops", resource="a\nb", room="ops@conf")),
        ("irc", like(nick="")),
        ("unheard-of", like(nick="ann", username="ann", userid="U123")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_name_of_the_network_mentions_nobody(mode, person):
    assert mention_of(mode, person) == ""


def test_the_mention_comes_along_with_who_typed():
    assert person_of(IRCPerson("alice!ann@host"), "irc").mention == "alice"
    assert person_of(IRCPerson("alice!ann@host"), "null").mention == ""


@pytest.mark.parametrize("nick", ["_bob_", "a[b]c", "x^2", "`tick`", "a{b}|c", "b\\c"])
def test_an_odd_nick_reaches_the_room_as_it_is(nick):
    """Errbot renders the mention as Markdown, with the rest of the message."""
    mention = mention_of("irc", IRCPerson(f"{nick}!u@host"))
    enable_format("irc", IRC_CHRS, borders=False)  # as the backend does
    for renderer in (irc_md(), text()):
        assert renderer.convert(f"{mention} **New** in shop").strip().startswith(f"{nick} ")


def test_a_mention_lives_where_the_same_word_from_outside_does_not():
    """Hostile text never pages: what goes through the templates is broken, what the link proved is not."""
    escape = Escape("slackv3")
    mention = mention_of("slackv3", like(userid="U0123ABCD"))
    sent = text().convert(f"{mention} {escape.text('<@U0123ABCD> broke')}")
    assert sent.count("<@U0123ABCD>") == 1
    assert sent.strip().startswith("<@U0123ABCD> ")


@pytest.mark.parametrize(
    ("mode", "person", "address"),
    [
        ("irc", IRCPerson("alice!ann@host"), "alice!ann@host"),
        ("irc", IRCRoomOccupant("alice!ann@host", "#ops"), "alice!ann@host"),
        ("irc", IRCPerson("alice"), ""),
        ("test", TestPerson("bob"), "bob"),
        ("test", TestPerson("#ops"), ""),
        ("slackv3", like(userid="U0123ABCD", username="ann"), "U0123ABCD"),
        ("slackv3", like(userid="C0123ABCD"), ""),
        ("discord", like(id="1234567890123456789", username="ann"), "1234567890123456789"),
        ("mattermost", like(username="ann", userid="a" * 26), "a" * 26),
        ("mattermost", like(username="ann", userid="@ann"), ""),
        ("telegram", like(username="ann", id="17"), "17"),
        ("telegram", like(username="group", id="-17"), ""),
        ("matrix", like(userid="@ann:example.com"), "@ann:example.com"),
        ("matrix", like(userid="!room:example.com"), ""),
        ("xmpp", like(person="ann@example.com", resource="phone"), "ann@example.com"),
        ("xmpp", IRCRoomOccupant("ann!a@host", "ops@conf"), ""),
        ("zulip", like(aclattr="ann@example.com"), "ann@example.com"),
        ("zulip", like(aclattr="ann@example.com,bob@example.com"), ""),
        ("gitter", like(person="ann"), ""),
    ],
)
def test_a_person_is_addressed_by_what_nobody_else_gets_and_no_room_is_a_person(
    mode: str, person: object, address: str
) -> None:
    assert direct_address(mode, person) == address
