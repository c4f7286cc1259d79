"""The same property for events that are made of a count: errors that came again, of other people with other words.

A bot of its own for each example, because it reports its counts when it stops.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from errbot.backends.base import Message
from errbot.backends.test import TestPerson
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.ingest_server import IngestServer, ingest_server
from tests.system.privacy_world import (
    EXAMPLES,
    NAMES,
    PLAIN,
    SHAPED,
    WORD,
    Rig,
    assert_nowhere,
    examples,
    fail,
    log,
    texts_of,
)


@pytest.fixture(scope="module")
def server() -> Iterator[IngestServer]:
    with ingest_server() as server:
        yield server


@pytest.mark.parametrize("mode", ["scrub", "drop", "send"])
@examples(max(10, EXAMPLES // 4))
@given(data=st.data())
def test_no_secret_is_in_an_event_that_reports_a_count(
    server: IngestServer, tmp_path_factory: pytest.TempPathFactory, mode: str, data: st.DataObject
) -> None:
    draw = data.draw
    rig = Rig(tmp_path_factory.mktemp("spool"), server, mode, repeat_seconds=3600)

    def command(msg: Message, args: str) -> None:
        word, text, password = rig.drawn
        log.error("cannot %s for %s", text, args.split())
        log.error("cannot do it", extra={word: args, "password": password})
        rig.reporter.capture_message(f"{text} of {word}", whole=word)
        try:
            fail(LookupError(text, args if mode == "drop" else ""))
        except LookupError:
            log.exception("failed at %s", args)
        raise RuntimeError(args if mode == "drop" else text)

    rig.server.taken.clear()
    assert rig.reporter.start()
    try:
        forbidden: list[str] = []
        for _ in range(3):
            secret, plain, word = draw(SHAPED), draw(PLAIN), draw(WORD)
            rig.drawn = word, draw(st.sampled_from(texts_of(secret, draw(st.sampled_from(NAMES)), plain))), plain
            forbidden += [secret, plain] if mode == "send" else [secret, plain, word, json.dumps(word)[1:-1]]
            args = f"dept_{word}"
            rig.run(command, Message(f"!deploy {args}", frm=TestPerson("bob")), args)
    finally:
        rig.reporter.close(20)
    assert sum("repeats" in event.get("contexts", {}) for event in rig.server.events()) == 4
    left = rig.server.bytes().decode()
    assert_nowhere(forbidden, left)
