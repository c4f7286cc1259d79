"""A person's words, found again in what the code made of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from urllib.parse import quote

import pytest

from errbot_sentry.reporting.redact.chat_redaction import CHAT, ChatMask, mask_of


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
        ("!deploy straße42", "STRASSE42 and Straße", f"{CHAT} and {CHAT}"),
        ("!deploy", "deploy", "deploy"),
        ("!deploy ops/alice-smith", "'alice-smith' of ops", f"'{CHAT}-{CHAT}' of {CHAT}"),
        ("!deploy host:PRIVATE_HOST", "to PRIVATE_HOST", f"to {CHAT}"),
        ("!deploy https://x.example.com/bob", "https in use", "https in use"),
        ("!deploy bob", r"'first\nbob'", rf"'first\n{CHAT}'"),
    ],
)
def test_words_are_masked(typed: str, text: str, wanted: str) -> None:
    assert ChatMask((typed,), ("deploy",))(text) == wanted


@pytest.mark.parametrize(
    ("typed", "text", "wanted"),
    [
        ("dept_alexandria", "['dept', 'alexandria']", f"['{CHAT}', '{CHAT}']"),
        ("dept_alexandria", "office_of_alexandria_x", f"office_of_{CHAT}_x"),
        ("SusanneMiller", "('Susanne', 'Miller')", f"('{CHAT}', '{CHAT}')"),
        ("BobLee", "{'bob': 'lee'}", f"{{'{CHAT}': '{CHAT}'}}"),
        ("bob lee", "BobLee and bobLee", f"{CHAT}{CHAT} and {CHAT}{CHAT}"),
        ("HTTPServerOfBob", "a Server of bob", f"a {CHAT} of {CHAT}"),
        ("team42alexandria", "'alexandria' in 'team'", f"'{CHAT}' in '{CHAT}'"),
        ("bob", "bob42", f"{CHAT}42"),
        ("ops%2Falexandria", "'alexandria'", f"'{CHAT}'"),
        ("Jose\u0301 said", "'Jos\u00e9'", f"'{CHAT}'"),
        ("Jos\u00e9 said", "'Jose\u0301'.", f"'{CHAT}'."),
        ("Jos\u00e9 said", r"'Jose\u0301'", f"'{CHAT}'"),
        ("Bj\u00f6rnsson", "user_bjornsson_x", f"user_{CHAT}_x"),
        ("\u0130brahim", "ibrahim IBRAHIM i\u0307brahim", f"{CHAT} {CHAT} {CHAT}"),
        ("\u0131\u015f\u0131k", "I\u015eIK", CHAT),
        ("Wei\u00df", "WEISS weiss", f"{CHAT} {CHAT}"),
        ("\u039f\u03b4\u03c5\u03c3\u03c3\u03b5\u03cd\u03c2", "\u039f\u0394\u03a5\u03a3\u03a3\u0395\u03a5\u03a3", CHAT),
        ("\uff21lexandria", "Alexandria", CHAT),
        ("al\u200bexandria", "alexandria", CHAT),
        ("\U0001f600\U0001f601\U0001f602 x", r'"\ud83d\ude00\ud83d\ude01\ud83d\ude02"', f'"{CHAT}"'),
        ("Jos\u00e9", "Jos&#233; Jos&#xE9;", f"{CHAT} {CHAT}"),
        ("two words", "two%20words", f"{CHAT}%20{CHAT}"),
        ("alice", r"C:\users\xaver\alice\new", rf"C:\users\xaver\{CHAT}\new"),
    ],
)  # fmt: skip
def test_pieces_and_other_spellings_are_masked(typed: str, text: str, wanted: str) -> None:
    assert ChatMask((f"!deploy {typed}",), ("deploy",))(text) == wanted


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        (" ".join(f"\u0449{number}\u044f\u0436" for number in range(200)), "\\" * 6000 + "\u0449" * 1000),
        (" ".join(f"\u0449{number}\u044f\u0436" for number in range(200)), "\\u04" * 2000),
        (" ".join(f"w{number}" for number in range(20_000)), "w1" * 4000),
        ("aaa " * 200 + "a" * 3000 + "b", "a" * 8000),
        ("x " + "%25" * 500, "%25" * 2600 + "%"),
        ("\\" * 8000, "\\" * 8000),
        ("_" * 8000 + "aB" * 4000, "aB_" * 2700),
    ],
    ids=["backslashes", "half escapes", "many words", "one letter", "percent", "typed backslashes", "humps"],
)
def test_masking_takes_steps_in_proportion(typed: str, text: str) -> None:
    """Counted in lines of Python, not in seconds."""
    mask = ChatMask((typed,), ())
    assert mask(text) is not None
    once, twice = (_steps(mask, text * size) for size in (1, 2))
    assert twice < 2.5 * once + 1000, (once, twice)
    assert once < 100 * len(text), once


def _steps(mask: ChatMask, text: str) -> int:
    steps = 0

    def count(*_: object) -> Callable[..., object]:
        nonlocal steps
        steps += 1
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        mask(text)
    finally:
        sys.settrace(before)
    return steps


def test_of_more_than_can_be_read_nothing_leaves() -> None:
    typed = "w " * 50_000 + "PRIVATE_WORD"
    assert ChatMask((typed,), ())("about PRIVATE_WORD") == CHAT


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
