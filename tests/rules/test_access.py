"""Rights: closed unless the settings open them."""

from __future__ import annotations

import pytest

from errbot_sentry.domain.access import Access
from errbot_sentry.domain.conversation import Conversation, Person

OPS, WEB, DIRECT = Conversation("#ops"), Conversation("#Web"), Conversation()


def test_without_rules_everything_is_seen():
    """The token's own rights are the bound then."""
    assert Access().may_see("anything", OPS)
    assert Access().sees_everything(DIRECT)


def test_a_project_that_nobody_could_name_is_never_seen():
    """An alert whose project could not be found out must not slip through the rules."""
    assert not Access().may_see("", OPS)


def test_the_bots_own_projects_bound_every_room():
    """SENTRY_PROJECTS comes first."""
    access = Access(projects=("web-*",), room_projects={"#ops": ("*",)})
    assert access.may_see("web-shop", OPS)
    assert not access.may_see("billing", OPS)
    assert not access.sees_everything(OPS)


def test_a_room_that_is_named_in_two_ways_sees_what_either_may():
    """Chat networks have several spellings for a room; `direct` is none of them."""
    access = Access(room_projects={"ops": ("web",), "~ops": ("docs",), "direct": ("*",)})
    named = access.with_rooms(lambda room: f"~{room.removeprefix('~')}")
    assert named.room_projects == {"~ops": ("web", "docs"), "direct": ("*",)}


def test_a_topic_on_telegram_sees_what_its_group_and_it_may():
    """Who is in the group reads each topic. On other networks a slash has no meaning."""
    access = Access(room_projects={"-100123": ("web",), "-100123/45": ("docs",), "#ops": ("*",)})
    seen = {
        room: [each for each in ("web", "docs") if access.may_see(each, Conversation(room))]
        for room in ("-100123", "-100123/45", "-100123/46", "-1001234/45", "#ops/x")
    }
    assert seen == {
        "-100123": ["web"],
        "-100123/45": ["web", "docs"],
        "-100123/46": ["web"],
        "-1001234/45": [],
        "#ops/x": [],
    }


def test_rooms_see_what_their_globs_name_and_unnamed_rooms_see_nothing():
    """Once one room is named, the rest is closed: fail closed."""
    access = Access(room_projects={"#web*": ("web-*",), "#we?": ("docs",), "#ops": ("*",)})
    assert access.may_see("web-shop", WEB)
    assert access.may_see("docs", WEB)
    assert not access.may_see("billing", WEB)
    assert access.sees_everything(OPS)
    assert not access.may_see("web-shop", Conversation("#random"))
    assert not access.may_see("web-shop", DIRECT)


def test_direct_messages_have_their_own_key():
    """And no room can be called so."""
    access = Access(room_projects={"direct": ("*",)})
    assert access.may_see("billing", DIRECT)
    assert not access.may_see("billing", Conversation("direct"))


def test_writers_are_globs_over_errbots_own_acl_text():
    """Exactly, because that is how BOT_ADMINS works."""
    access = Access(writers=("admin!*@*", "@bob"))
    assert access.may_write(Person("admin!user@host", "admin"))
    assert access.may_write(Person("@bob", "bob"))
    assert not access.may_write(Person("@BOB", "bob"))
    assert Access(writers=("a[l]ce!u@h",)).may_write(Person("a[l]ce!u@h", "a[l]ce")), "pasted as it stands"
    assert Access(writers=("a[l]ce!u@h",)).may_write(Person("alce!u@h", "alce"))
    assert not Access().may_write(Person("@bob", "bob"))


@pytest.mark.parametrize("other", ["\ufb01nance", "finan\u017fe", "bac\u212aup", "bo\u00df", "i\u0307nfra"])
def test_a_room_whose_name_only_looks_the_same_is_another_room(other: str):
    """Whoever may make a channel can choose such a name, and Zulip and Discord take it for another one."""
    access = Access(room_projects=dict.fromkeys(("finance", "finanse", "backup", "boss", "\u0130nfra"), ("*",)))
    assert access.sees_everything(Conversation("FINANCE"))
    assert not access.sees_anything(Conversation(other))


def test_capitals_beyond_ascii_are_the_same_room():
    access = Access(room_projects={"#St\u00f6rung": ("*",), "#\u0434\u0435\u0436": ("*",)})
    assert all(access.sees_everything(Conversation(room)) for room in ("#ST\u00d6RUNG", "#\u0414\u0435\u0416"))
