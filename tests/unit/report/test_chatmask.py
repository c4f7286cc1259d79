"""A person's words, found again in what the code made of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import quote

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
        ("!deploy ops/alice-smith", "'alice-smith' of ops", f"'{CHAT}-{CHAT}' of {CHAT}"),
        ("!deploy host:PRIVATE_HOST", "to PRIVATE_HOST", f"to {CHAT}"),
        ("!deploy https://x.example.com/bob", "https in use", "https in use"),
        ("!deploy bob", r"'first\nbob'", rf"'first\n{CHAT}'"),
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


@pytest.mark.parametrize("word", ["Секретное", "José", "密码库"])
@pytest.mark.parametrize(
    "form",
    [
        lambda text: json.dumps({"said": text}),
        lambda text: repr(json.dumps({"said": text})),
        lambda text: json.dumps(json.dumps(text)),
        lambda text: repr(text.encode()),
        lambda text: repr([repr(text.encode())]),
        quote,
        lambda text: text.upper(),
        lambda text: json.dumps(text.upper()),
    ],
    ids=["json", "printed json", "json in json", "bytes", "printed bytes", "address", "upper", "upper json"],
)
def test_a_word_beyond_ascii_is_known_in_every_spelling(word: str, form: Callable[[str], str]) -> None:
    text = form(word)
    plain = form("")
    masked = ChatMask((f"!deploy {word} now",), ("deploy",))(f"about {text} here")
    assert masked.replace(CHAT, "") == f"about {plain} here"


def test_of_a_long_message_every_word_is_masked() -> None:
    words = [f"w{number}" for number in range(500)] + [f"word{number}" for number in range(5000)]
    mask = ChatMask((" ".join(words),), ())
    assert [word for word in words if len(word) > 2 and mask(f"see {word} there") != f"see {CHAT} there"] == []
    assert mask(r"'a\nw123'") == rf"'a\n{CHAT}'"
    assert mask("other things") == "other things"


def test_a_mask_is_shared() -> None:
    assert mask_of(("!a b",), ("a",)) is mask_of(("!a b",), ("a",))
