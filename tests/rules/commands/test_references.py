"""REF in all its forms, and that no form is a way around the rights."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from errbot_sentry.alerting.canary_links import Progress
from errbot_sentry.commands.issue_refs import (
    Reference,
    RefKind,
    read_reference,
)
from errbot_sentry.domain.conversation import Conversation, Invocation, Person
from errbot_sentry.domain.errors import BadReference, NotAllowed, SentryReporterError, TimedOut
from errbot_sentry.server.protocol import BUGSINK
from tests.fakes.memory_server import URL
from tests.rules.commands.world import ALICE, API, BOB, DIRECT, OPS, ROOMS, VAULT, WEB, World, issue

UUID = "12345678-90ab-cdef-1234-567890abcdef"


@pytest.mark.parametrize(
    ("word", "reference"),
    [
        ("", Reference(RefKind.THREAD)),
        ("web-1a", Reference(RefKind.SHORT_ID, "WEB-1A")),
        ("WEB–1A,", Reference(RefKind.SHORT_ID, "WEB-1A")),
        ("my_app.x-front-1A", Reference(RefKind.SHORT_ID, "MY_APP.X-FRONT-1A")),
        ("123", Reference(RefKind.ISSUE_ID, "123")),
        ("#3", Reference(RefKind.ROW, "3")),
        ("#3,", Reference(RefKind.ROW, "3")),
        ("@Latest", Reference(RefKind.LATEST)),
        (UUID, Reference(RefKind.UUID, UUID)),
        (UUID.replace("-", "").upper(), Reference(RefKind.UUID, UUID.replace("-", ""))),
        (f"{URL}/organizations/acme/issues/1/", Reference(RefKind.URL, f"{URL}/organizations/acme/issues/1/")),
        (f"<{URL}/x|text>", Reference(RefKind.URL, f"{URL}/x")),
        (f"<{URL}/x>,", Reference(RefKind.URL, f"{URL}/x")),
        ('"WEB-1A"', Reference(RefKind.SHORT_ID, "WEB-1A")),
        ("`WEB-1A`,", Reference(RefKind.SHORT_ID, "WEB-1A")),
        ("**WEB-1A**", Reference(RefKind.SHORT_ID, "WEB-1A")),
    ],
)
def test_reading(word: str, reference: Reference) -> None:
    assert read_reference(word) == reference


@pytest.mark.parametrize("word", ["web", "#", "#x", "@oldest", "WEB-", "-1A", "a b-1", "ftp://x/1", "#12345", "WEB_1"])
def test_what_names_nothing_says_how_issues_are_named(word: str) -> None:
    with pytest.raises(BadReference, match=r"isn't a valid issue reference\. Use a short ID"):
        read_reference(word)


EVENT_ID = "e" * 32


@pytest.fixture
def world() -> World:
    made = World([issue(1), issue(2, API), issue(3, VAULT)], access=ROOMS)
    made.server.issue_of_events[EVENT_ID] = "102"
    return made


@pytest.mark.parametrize(
    "word",
    [
        "API-2",
        "api-2",
        "102",
        EVENT_ID,
        f"{URL}/organizations/acme/issues/102/",
        f"{URL}/organizations/acme/issues/API-2",
    ],
)
def test_every_form_finds_the_issue(world: World, word: str) -> None:
    assert "API-2" in world.lines(f"issue {word}")[0]


HIDDEN = ["VAULT-3", "103", "f" * 32, f"{URL}/organizations/acme/issues/103/"]
ABSENT = ["VAULT-9", "999", "a" * 32, f"{URL}/organizations/acme/issues/999/"]


@pytest.mark.parametrize(("hidden", "absent"), list(zip(HIDDEN, ABSENT, strict=True)))
@pytest.mark.parametrize("command", ["issue", "resolve", "reopen"])
@pytest.mark.parametrize("conversation", [OPS, DIRECT, Conversation("#elsewhere")])
def test_a_hidden_issue_is_answered_like_one_that_does_not_exist(
    world: World, command: str, hidden: str, absent: str, conversation: Conversation
) -> None:
    world.server.issue_of_events["f" * 32] = "103"
    answers = []
    for word in (hidden, absent):
        with pytest.raises(BadReference) as caught:
            world.lines(f"{command} {word}", conversation=conversation)
        answers.append(str(caught.value).replace(word[:40], "REF"))
    assert answers[0] == answers[1]
    assert world.server.asked("resolve") == world.server.asked("latest_event") == []


@pytest.mark.parametrize("word", ["VAULT-3", "vault-9", "nothing-1", f"{URL}/organizations/acme/issues/VAULT-3/"])
def test_nobody_is_asked_for_a_short_id_of_a_project_that_is_not_shown(world: World, word: str) -> None:
    """The server's words, or the time it takes for what there is, would tell."""
    with pytest.raises(BadReference, match="not found here"):
        world.lines(f"issue {word}")
    assert world.server.calls == []


def test_a_list_of_one_place_is_no_key_to_another(world: World) -> None:
    world.lines("issues", conversation=Conversation("#vault"))
    with pytest.raises(BadReference, match="I remember no list here from the last hour, so I don't know #3"):
        world.lines("issue #3", conversation=OPS)
    with pytest.raises(BadReference, match="I remember no list of yours here"):
        world.lines("next", conversation=OPS)


def test_rows_are_checked_against_the_rights_of_the_moment(world: World) -> None:
    """An issue that moves to another project after it was listed is hidden from then on."""
    world.lines("issues")
    world.server.stored["101"] = replace(world.server.stored["101"], project=VAULT)
    with pytest.raises(BadReference, match="Issue #1 not found here"):
        world.lines("resolve #1")


def test_a_list_shows_only_what_the_room_may_see_and_asks_for_no_more(world: World) -> None:
    assert [line.split()[1] for line in world.lines("issues")] == ["WEB-1", "API-2"]
    assert [line.split()[1] for line in world.lines("issues", conversation=DIRECT)] == ["WEB-1"]
    asked = world.server.asked("issues")
    assert [[project.slug for project in query.projects] for query in asked] == [["api", "web"], ["web"]]


def test_a_row_that_the_server_should_not_have_sent_is_dropped(world: World) -> None:
    world.server.stored["101"] = replace(world.server.stored["101"], project=replace(VAULT, id=WEB.id))
    assert [line.split()[1] for line in world.lines("issues")] == ["API-2"]


def test_a_room_without_projects_never_asks_for_everything(world: World) -> None:
    with pytest.raises(NotAllowed, match="SENTRY_ROOM_PROJECTS"):
        world.lines("issues", conversation=Conversation("#elsewhere"))
    with pytest.raises(NotAllowed):
        world.lines("issue @latest", conversation=Conversation("#elsewhere"))
    assert world.server.asked("issues") == []


def test_a_hidden_project_is_no_project(world: World) -> None:
    answers = []
    for name in ("vault", "wault"):
        with pytest.raises(BadReference) as caught:
            world.lines(f"issues -p {name}")
        answers.append(str(caught.value).replace(name, "P"))
    assert answers[0] == answers[1]
    with pytest.raises(BadReference, match=r"did you mean web\?"):
        world.lines("issues -p wbe")


def test_projects_by_glob_id_and_any_case(world: World) -> None:
    world.lines("issues -p W* -p 2,web")
    (query,) = world.server.asked("issues")
    assert [project.slug for project in query.projects] == ["web", "api"]


def test_latest_is_of_the_last_list_or_of_what_may_be_seen(world: World) -> None:
    assert "WEB-1" in world.lines("issue @latest")[0]
    world.lines("issues -p api")
    assert "API-2" in world.lines("issue @latest")[0]
    assert "WEB-1" in world.lines("issue @latest", person=BOB)[0]


def test_no_latest_says_of_what(world: World) -> None:
    for listed, sentence in (
        ("issues nothing-like-it", "No unresolved issue like those of your last list found here."),
        ("issues is:archived", "No issue like those of your last list found here."),
    ):
        world.lines(listed)
        with pytest.raises(BadReference) as refusal:
            world.lines("issue @latest")
        assert str(refusal.value) == sentence
    with pytest.raises(BadReference, match=r"No unresolved issue found here\."):
        World([]).lines("issue @latest")


def test_an_address_of_another_server_or_organization_is_not_ours() -> None:
    world = World([issue(1)], org="acme")
    with pytest.raises(BadReference, match="isn't an issue of the connected server"):
        world.lines("issue https://evil.example/organizations/acme/issues/101/")
    with pytest.raises(BadReference, match="not found here"):
        world.lines(f"issue {URL}/organizations/other/issues/101/")
    assert world.server.asked("issue") == []


def test_bugsink_names_issues_by_uuid() -> None:
    world = World([issue(1, id=UUID)], kind=BUGSINK)
    assert "WEB-1" in world.lines(f"issue {UUID.replace('-', '').upper()}")[0]
    world.server.issue_of_events["b" * 32] = UUID
    assert "WEB-1" in world.lines(f"issue {'b' * 32}")[0]


def thread_issue(conversation: Conversation) -> str | None:
    return "103" if conversation.thread == "17.1" else None


def test_in_a_thread_no_word_is_needed() -> None:
    world = World([issue(1), issue(3, VAULT)], thread_issue=thread_issue, access=ROOMS)
    vault = Conversation("#vault", "17.1")
    assert "VAULT-3" in world.lines("issue", conversation=vault)[0]
    assert "VAULT-3 resolved" in world.lines("resolve", conversation=vault)[0]
    with pytest.raises(BadReference, match="not found here"):
        world.lines("issue", conversation=Conversation("#ops", "17.1"))
    for conversation in (OPS, Conversation("#vault", "99.9")):
        with pytest.raises(BadReference, match=r"Which issue\? Use a short ID \(WEB-1A\)"):
            world.lines("resolve", conversation=conversation)


def test_a_failing_server_is_not_a_missing_issue(world: World) -> None:
    world.server.fail("issue_by_short_id", TimedOut("The server gave no answer in time."))
    with pytest.raises(SentryReporterError, match="no answer in time"):
        list(world.commands.run("issue", Invocation(ALICE, OPS, "WEB-1")))


class Crashed:
    """The reporting flow of a person who ran into an error."""

    def feedback(self, person: Person, text: str, kind: str) -> str:
        return "4fb1" * 8

    def begin(self, person: Person) -> str:
        return "4fb1" * 8

    def progress(self, event_id: str) -> Progress:
        return Progress()


@pytest.mark.parametrize("typed", ["feedback the till was closed", "test"])
def test_the_id_of_an_event_that_the_bot_prints_names_its_issue(typed: str) -> None:
    """Whole: a part of it could not be looked up on any server."""
    world = World([issue(1)], reporter=Crashed(), tests=Crashed())
    world.server.issue_of_events["4fb1" * 8] = "101"
    (event,) = re.findall(r"event ([0-9a-f]+)", world.lines(typed)[0])
    assert world.lines(f"issue {event}")[0].startswith("WEB-1 ")
