"""Who a chat person is on the server, and that nobody can become somebody else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from errbot_sentry.chat.render.templates import Templates
from errbot_sentry.commands.accounts import read_mail
from errbot_sentry.domain.conversation import Conversation, Person
from errbot_sentry.domain.errors import BadReference, StoreError, Unsupported, UsageError
from errbot_sentry.domain.issues import Comment
from tests.rules.commands.world import ALICE, BOB, EVERYONE, World, issue
from tests.stores import store_at

MAIL = "alice@example.org"


def phrase(world: World, **where: object) -> str:
    lines = world.lines(f"link {MAIL}", **where)
    found = re.fullmatch("`(I am .* in chat: [A-Z0-9]{10})`", lines[1])
    assert found is not None
    return found[1]


@pytest.fixture
def world() -> World:
    return World([issue(1)])


def test_a_comment_by_the_owner_links(world: World) -> None:
    world.server.comments_by_issue["101"] = [
        Comment("hi", "Alice", MAIL),
        Comment(phrase(world), "Alice", MAIL.upper()),
    ]
    assert world.lines(f"link {MAIL} WEB-1")[0] == f"You are {MAIL} on the server. You can delete the comment."
    assert f"On the server you are {MAIL}." in world.lines("whoami")
    assert world.lines("unlink") == ["Your server account is no longer linked."]
    assert world.lines("unlink") == ["You hadn't linked a server account."]


def test_the_code_stays_until_it_is_used_or_an_hour_old(world: World) -> None:
    first = phrase(world)
    assert phrase(world) == first
    world.clock.advance(3601)
    second = phrase(world)
    assert second != first
    world.server.comments_by_issue["101"] = [Comment(first, "Alice", MAIL)]
    with pytest.raises(BadReference, match="No comment on WEB-1"):
        world.lines(f"link {MAIL} WEB-1")


@pytest.mark.parametrize("case", ["other author", "no author", "more text", "quoted", "other code", "none"])
def test_what_proves_nothing(world: World, case: str) -> None:
    said = phrase(world)
    comment = {
        "other author": Comment(said, "Mallory", "mallory@example.org"),
        "no author": Comment(said),
        "more text": Comment(f"{said}\n\n— mallory, from chat", "Alice", MAIL),
        "quoted": Comment(f"> {said}", "Alice", MAIL),
        "other code": Comment(said[:-1] + "0", "Alice", MAIL),
    }.get(case)
    world.server.comments_by_issue["101"] = [comment] if comment else []
    with pytest.raises(BadReference, match=r"No comment on WEB-1 by alice@example\.org has exactly that text"):
        world.lines(f"link {MAIL} WEB-1")
    assert not any(MAIL in line for line in world.lines("whoami"))


@pytest.mark.parametrize(
    ("mail", "other"), [("boss@example.org", "bo\u00df@example.org"), ("mike@x.org", "mi\u212ae@x.org")]
)
def test_an_address_that_only_looks_the_same_proves_nothing(world: World, mail: str, other: str) -> None:
    said = world.lines(f"link {mail}")[1].strip("`")
    world.server.comments_by_issue["101"] = [Comment(said, "Mallory", other)]
    with pytest.raises(BadReference, match="No comment on WEB-1"):
        world.lines(f"link {mail} WEB-1")
    world.server.comments_by_issue["101"] = [Comment(said, "Boss", mail.upper())]
    assert world.lines(f"link {mail} WEB-1")[0].startswith(f"You are {mail} on the server.")


def test_the_bot_cannot_be_made_to_prove_that_somebody_is_its_own_account(world: World) -> None:
    """A note left through the bot is written by the token's owner; it never is the phrase alone."""
    said = phrase(world)
    world.lines(f"note WEB-1 {said}")
    world.lines("resolve WEB-1")
    world.server.comments_by_issue["101"] = [Comment(text, "bot", MAIL) for _, text in world.server.notes]
    with pytest.raises(BadReference):
        world.lines(f"link {MAIL} WEB-1")


@pytest.mark.parametrize("name", ["alice", "al`ice", "[al|ce]^", "a:b", "<!here>", "@alice"])
def test_the_sentence_links_as_it_is_shown_also_in_a_channel_where_the_nick_is_broken(world: World, name: str) -> None:
    """On IRC the bot puts an unseen character into nicks, so that no word of it pages anybody; people copy that."""
    person = Person("alice!a@host", name)
    templates = Templates("irc", lambda: frozenset({name}))
    (view,) = world.views(f"link {MAIL}", person=person)
    shown = templates.render(view.template, view.values).split("\n")[1]
    world.server.comments_by_issue["101"] = [Comment(shown.removeprefix("`").removesuffix("`"), "Alice", MAIL)]
    assert world.lines(f"link {MAIL} WEB-1", person=person)[0].startswith(f"You are {MAIL}")


def test_a_code_is_good_for_one_person_only(world: World) -> None:
    world.server.comments_by_issue["101"] = [Comment(phrase(world, person=BOB), "Alice", MAIL)]
    with pytest.raises(BadReference):
        world.lines(f"link {MAIL} WEB-1", person=ALICE)


def test_a_server_without_accounts_refuses_a_link() -> None:
    with pytest.raises(Unsupported, match="has no accounts"):
        World([issue(1)], unsupported=("accounts",)).lines(f"link {MAIL}")


@pytest.mark.parametrize("words", ["", "alice", f"{MAIL} WEB-1 x", "a@b", "a@b.c,d@e.f"])
def test_what_is_no_address(world: World, words: str) -> None:
    with pytest.raises(UsageError, match="Usage: !sentry link"):
        world.lines(f"link {words}")


def test_addresses_as_chat_programs_send_them() -> None:
    assert read_mail("<mailto:Bob@Example.org|bob@example.org>") == "bob@example.org"
    assert read_mail("bob@localhost") is None
    assert read_mail("x" * 300 + "@example.org") is None


def test_links_outlive_the_bot(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'state.sqlite3'}"
    world = World([issue(1)], store=store_at(url))
    for mail in ("old@example.org", MAIL):
        said = world.lines(f"link {mail}")[1].strip("`")
        world.server.comments_by_issue["101"] = [Comment(said, "Alice", mail)]
        world.lines(f"link {mail} WEB-1")
    world.store.close()
    again = World([issue(1)], store=store_at(url))
    assert f"On the server you are {MAIL}." in again.lines("whoami")
    assert "haven't linked" in again.lines("whoami", person=BOB)[1]
    again.lines("unlink")
    assert "haven't linked" in again.lines("whoami")[1]


def test_a_state_that_cannot_be_read_hides_no_change(tmp_path: Path) -> None:
    store = store_at(f"sqlite:///{tmp_path / 'state.sqlite3'}")
    store.close()
    world = World([issue(1)], store=store)
    assert world.lines("resolve WEB-1")[0].startswith("WEB-1 resolved by alice")
    assert "asked by alice in #ops" in world.server.notes[0][1]
    for command in ("whoami", "assign WEB-1 me", "unlink"):
        with pytest.raises(StoreError):
            world.lines(command)


def test_whoami_says_what_one_may(world: World) -> None:
    assert world.lines("whoami")[0] == "In chat you are alice (`alice!a@host`), and you may change issues."
    assert world.lines("whoami", person=BOB)[0] == "In chat you are bob (`bob!b@host`), and you may not change issues."
    assert EVERYONE.may_write(ALICE)


def test_whoami_says_what_settings_call_the_room(world: World) -> None:
    assert world.lines("whoami")[-1] == "In config.py this room is `#ops`."
    assert not any("this room" in line for line in world.lines("whoami", conversation=Conversation()))
