"""A property: whatever secret stands wherever, it is not in the bytes that leave.

A real Errbot function runs a command that fails with secrets planted everywhere that code puts things: the exception's
text, locals of every shape, causes, notes, log sentences and their arguments, breadcrumbs, tags, contexts, keys, lines
of source, and errors that are only counted. Words stand whole, in pieces and in other spellings. What the ingest server
got is searched for them. PRIVACY_EXAMPLES=2000 is the nightly size.
"""

from __future__ import annotations

import json
import threading
import unicodedata
from collections.abc import Iterator

import pytest
import sentry_sdk
from errbot.backends.base import Message
from errbot.backends.test import TestPerson
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.ingest_server import ingest_server
from tests.system.privacy_world import (
    EXAMPLES,
    JOINED,
    KEYS,
    NAMES,
    PART,
    PLAIN,
    SHAPED,
    WORD,
    Rig,
    Thing,
    assert_nowhere,
    examples,
    fail,
    lines_of_key,
    log,
    run_source,
    sources_of,
    texts_of,
    wrapped,
)


@pytest.fixture(scope="module", params=["scrub", "drop", "send"])
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with ingest_server() as server:
        rig = Rig(tmp_path_factory.mktemp("spool"), server, request.param)
        assert rig.reporter.start()
        yield rig
        rig.reporter.close(5)


@examples(EXAMPLES)
@given(data=st.data())
def test_no_secret_is_in_the_bytes_that_leave(rig: Rig, data: st.DataObject) -> None:
    draw = data.draw
    secret, plain, name = draw(SHAPED), draw(PLAIN), draw(st.sampled_from(NAMES))
    word, depth = draw(WORD), draw(st.integers(0, 6))
    text = draw(st.sampled_from(texts_of(secret, name, plain)))
    other = draw(st.sampled_from(texts_of(secret, name, plain)))
    parts = draw(PART), draw(PART)
    joined = draw(JOINED).format(*parts)
    source = draw(st.sampled_from(sources_of(name, plain)))
    args = f"ops/{word}:8080 now {joined}"
    limit = draw(st.sampled_from((2000, 8192))) - draw(st.integers(0, 120))
    message = Message(f"!deploy {args}", frm=TestPerson("bob", email=f"{plain}@mail.example.org"))

    def command(msg: Message, args: str) -> None:
        nested = wrapped({name: plain, "text": text, text: 1}, depth)
        pieces = args.split()
        thing = Thing([args, text])
        shouted = f"USER_{word.upper()}"
        raw = text.encode()
        _owner, _, rest = args.partition("/")
        by_word = {word: 1, rest.partition(":")[0]: {word: 2}}
        spelled = json.dumps({"said": args}), args.encode(), by_word
        first, second = parts
        in_pieces = [first, second], {"by": {first: second}}, first.upper(), f"x_{second.lower()}_y"
        decomposed = [unicodedata.normalize(form, text) for form in ("NFC", "NFD") for text in (word, joined, *parts)]
        key_lines = [lines_of_key(kind, plain) for kind in range(len(KEYS))]
        long_text = "w " * (limit // 2) + text + f" {word} about"
        password = plain
        log.info("first %s then %r", text, {name: plain})
        log.info(f"they said {args}")
        log.info(long_text)
        in_thread = threading.Thread(target=log.info, args=("thread says %s of %s", word, text))
        in_thread.start()
        in_thread.join()
        log.warning("doing %s for %s", pieces, thing)
        sentry_sdk.set_context("mine", {"text": text, name: plain, "word": word})
        sentry_sdk.set_extra("extra", [text, {name: plain}])
        for key in (secret, word, first, f"of {word}"):
            sentry_sdk.set_extra(f"long {key}", {key: list(range(50)), "deep": {key: {"a": {"b": {"c": {key: 1}}}}}})
            sentry_sdk.set_context(f"by {key}", {key: "x" * 9000})
            sentry_sdk.set_tag(key, "x")
            sentry_sdk.add_breadcrumb(message="by key", data={key: list(range(50))})
            sentry_sdk.set_user({"id": "bob", key: key, "data": {key: key}})
        try:
            run_source(source, {word: word, secret: secret, "boom": lambda *_, **__: fail(OSError("source"))})
        except OSError:
            log.exception("source")
        log.warning("doing %s for %s and %s", in_pieces, decomposed, key_lines)
        rig.reporter.set_tag("my.tag", text[:200].partition("\n")[0])
        sentry_sdk.add_breadcrumb(message=text, data={name: plain, "word": word})
        try:
            fail(KeyError(other, nested, raw, spelled if rig.chat_text == "drop" else None))
        except KeyError as cause:
            said = f"{text} about {word}" if rig.chat_text == "drop" else text
            error = RuntimeError(
                said,
                long_text if rig.chat_text == "drop" else None,
                shouted if rig.chat_text == "drop" else None,
                password and "x",
            )
            if hasattr(error, "add_note"):
                error.add_note(other)
            raise error from cause

    left = rig.execute(command, message, args)
    forbidden = [secret, plain]
    if rig.chat_text != "send":
        for typed in (word, *parts):
            forbidden += [typed, typed.upper(), json.dumps(typed)[1:-1], repr(typed.encode())[2:-1]]
            forbidden += [json.dumps(unicodedata.normalize("NFD", typed))[1:-1]]
    # The source lines of this very test are part of the event; none of the drawn texts is in them.
    assert_nowhere(forbidden, left)
