"""A person's words, found again in what the code made of them."""

from __future__ import annotations

import pytest

from errbot_sentry.report.chatmask import CHAT, ChatMask, mask_of


@pytest.mark.parametrize(
    ("typed", "text", "wanted"),
    [
        ("!deploy backend", "going to deploy the backend now", f"going to deploy the {CHAT} now"),
        ("!deploy backend", "it was: deploy backend", f"it was: {CHAT}"),
        ("!deploy backend", "'backend'", f"'{CHAT}'"),
        ("!deploy BackEnd", "user_backend_x", f"user_{CHAT}_x"),
        ("!deploy bob", "bobsled", "bobsled"),
        ("!deploy bob", "for bob.", f"for {CHAT}."),
        ("!deploy x", "'x'", CHAT),
        ("!deploy x", "next", "next"),
        ("!deploy --to=secretplace", "--to secretplace", f"{CHAT} {CHAT}"),
        ('!deploy "two words"', "two words", f"{CHAT} {CHAT}"),
        ("!deploy straße42", "STRASSE and Straße42", f"STRASSE and {CHAT}"),
        ("!deploy", "deploy", "deploy"),
    ],
)
def test_words_are_masked(typed: str, text: str, wanted: str) -> None:
    assert ChatMask((typed,), ("deploy",))(text) == wanted


def test_the_whole_message_is_one_mask() -> None:
    mask = ChatMask(("!deploy all of it, please", "all of it, please"), ("deploy",))
    assert "please" not in mask("args are 'all of it, please'")


def test_nothing_typed_masks_nothing() -> None:
    assert not ChatMask(("",), ())
    assert not ChatMask(("!deploy",), ("deploy",))


def test_the_parts_of_a_commands_name_stay() -> None:
    assert ChatMask(("!crash plain now",), ("crash_plain",))("crash_plain of crash") == "crash_plain of crash"


def test_a_long_message_is_bounded() -> None:
    mask = ChatMask((" ".join(f"word{number}" for number in range(5000)),), ())
    assert mask("word7") == CHAT


def test_a_mask_is_shared() -> None:
    assert mask_of(("!a b",), ("a",)) is mask_of(("!a b",), ("a",))
