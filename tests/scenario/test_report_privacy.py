"""A property: whatever secret stands wherever, it is not in the bytes that leave.

A real Errbot function runs a command that fails with secrets planted everywhere that code puts things: the exception's
text, locals of every shape, causes, notes, log sentences and their arguments, breadcrumbs, tags, contexts. What the
ingest server got is searched for them. PRIVACY_EXAMPLES=2000 is the nightly size.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import MethodType, SimpleNamespace
from typing import Any

import pytest
import sentry_sdk
from errbot.backends.base import Message
from errbot.backends.test import TestPerson
from errbot.core import ErrBot
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from errbot_sentry.report.about import About
from errbot_sentry.report.reporter import Reporter
from errbot_sentry.secret import Secret
from errbot_sentry.settings import ReportSettings
from tests.fakes.ingest_server import IngestServer, ingest_server

EXAMPLES = int(os.environ.get("PRIVACY_EXAMPLES", "60"))
log = logging.getLogger("errbot.plugins.Deploy")

ALNUM = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
LOWER_HEX = "0123456789abcdef"
NAMES = ("password", "token", "api_key", "client_secret", "DB_PASSWORD", "authToken", "dsn", "session", "cookie",
    "x-signature", "Authorization")  # fmt: skip


def run(alphabet: str, low: int, high: int) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=low, max_size=high)


def shaped(prefix: str, alphabet: str, low: int, high: int, suffix: str = "") -> st.SearchStrategy[str]:
    return run(alphabet, low, high).map(lambda middle: f"{prefix}{middle}{suffix}")


# Secrets that are known by their shape, and (for URLs) the part that must not leave.
SHAPED = st.one_of(
    shaped("sntrys_", ALNUM + "_", 20, 60),
    shaped("sntryu_", LOWER_HEX, 64, 64),
    shaped("xoxb-", ALNUM, 12, 40),
    shaped("ghp_", ALNUM, 36, 36),
    shaped("glpat-", ALNUM, 20, 20),
    shaped("AKIA", "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16, 16),
    shaped("AIza", ALNUM + "-_", 35, 35),
    shaped("sk-", ALNUM, 20, 48),
    shaped("pypi-", ALNUM, 20, 60),
    run(LOWER_HEX, 64, 64),
    st.tuples(run(ALNUM, 10, 30), run(ALNUM, 10, 60), run(ALNUM, 10, 40)).map(lambda p: f"eyJ{p[0]}.eyJ{p[1]}.{p[2]}"),
    st.tuples(run("123456789", 8, 12), run(ALNUM + "-_", 35, 35)).map(":".join),  # Telegram
    st.tuples(run(ALNUM, 4, 12), run(ALNUM.lower(), 3, 10)).map(lambda p: f"{p[0]}@{p[1]}.example.org"),
)
# Prefixes keep the two apart: breadcrumbs of earlier examples travel too, and one's word may be another's secret.
PLAIN = shaped("Pq", ALNUM, 10, 24)
WORD = st.one_of(shaped("Wz", ALNUM, 6, 16), shaped("Щя", "абвгдежзийклмнопрстуфхцчшщыьэюя", 6, 16))


@dataclass
class Planted:
    """What must not be found."""

    secrets: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)


class Thing:
    """An object whose repr tells everything."""

    def __init__(self, inner: object) -> None:
        self.inner = inner

    def __repr__(self) -> str:
        return f"Thing({self.inner!r})"


def texts_of(secret: str, name: str, plain: str) -> list[str]:
    """Sentences with secrets in them, as programs write them."""
    return [
        f"failed with {secret}",
        f"{secret}",
        f"GET /x?a=1&{name}={plain}&b=2",
        f"config: {{'{name}': '{plain}'}}",
        json.dumps({"x": {name: plain}}),
        json.dumps(json.dumps({name: plain})),
        f"https://{plain}@sentry.example.com/1",
        f"postgresql://bot:{plain}@db.example.com/x",
        f"Authorization: Bearer {plain}",
        f"Cookie: a={plain}; b={plain}",
        f"{name}={plain}",
        f'run(x, {name}="{plain}")',
        f"https://api.example.org/bot{secret}/getMe",
        f"mysql --{name} {plain} db",
        f"Command '['mysql', '--{name}', '{plain}']' failed",
        f"<{name}>{plain}</{name}>",
        f"{name}=('bob', '{plain}')",
        f'{name} = """{plain}"""',
    ]


def wrapped(value: object, depth: int) -> object:
    """The value inside of containers and objects."""
    for level in range(depth):
        value = [{"deeper": value, "other": 1}, (value, level), {"list": [value]}, Thing(value)][level % 4]
    return value


def fail(error: Exception) -> None:
    raise error


class Rig:
    """A reporter, a server, and Errbot's own function around the failing command."""

    def __init__(self, folder: Path, server: IngestServer, chat_text: str) -> None:
        self.server = server
        self.chat_text = chat_text
        self.reporter = Reporter(
            ReportSettings(enabled=True, dsn=Secret(server.dsn), chat_text=chat_text, repeat_seconds=0),
            About("test", "6.2.1"),
            folder / chat_text,
        )

    def unwatch(self) -> None:
        """The next example has a bot object of its own."""
        undo, self.reporter._unwatch = self.reporter._unwatch, None
        assert undo is not None
        undo()

    def execute(self, command: Any, message: Message, args: str) -> str:
        """Run the command as Errbot does; everything that left because of it."""
        self.server.taken.clear()
        command._err_command_flow_only = False
        bot = SimpleNamespace(
            bot_config=SimpleNamespace(DIVERT_TO_PRIVATE=(), DIVERT_TO_THREAD=()),
            commands={"deploy": command},
            _gbl=threading.RLock(),
            flow_executor=SimpleNamespace(check_inflight_flow_triggered=lambda cmd, frm: (None, None)),
            send_simple_reply=lambda *args: None,
            MSG_ERROR_OCCURRED="no",
        )
        logging.getLogger("errbot.core").info(f'Processing command "deploy" with parameters "{args}" from bob')
        bot._execute_and_send = MethodType(ErrBot._execute_and_send, bot)
        self.reporter.watch_commands(bot)
        bot._execute_and_send(cmd="deploy", args=args, match=None, msg=message)
        self.unwatch()
        assert self.reporter.flush(20)
        (event,) = self.server.events()
        assert event["exception"]["values"][-1]["type"] == "RuntimeError", event["exception"]
        return self.server.bytes().decode()


@pytest.fixture(scope="module")
def rigs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with ExitStack() as stack:
        server = stack.enter_context(ingest_server())
        folder = tmp_path_factory.mktemp("spools")
        yield {"make": lambda mode: Rig(folder, server, mode)}


@pytest.fixture(scope="module", params=["scrub", "drop", "send"])
def rig(request: pytest.FixtureRequest, rigs: dict[str, Any]) -> Iterator[Rig]:
    rig = rigs["make"](request.param)
    assert rig.reporter.start()
    yield rig
    rig.reporter.close(5)


# No shrinking: each example is a whole report to a server, and what was found is shown in its surroundings.
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
@given(data=st.data())
def test_no_secret_is_in_the_bytes_that_leave(rig: Rig, data: st.DataObject) -> None:
    draw = data.draw
    secret, plain, name = draw(SHAPED), draw(PLAIN), draw(st.sampled_from(NAMES))
    word, depth = draw(WORD), draw(st.integers(0, 6))
    text = draw(st.sampled_from(texts_of(secret, name, plain)))
    other = draw(st.sampled_from(texts_of(secret, name, plain)))
    args = f"ops/{word}:8080 now"
    limit = draw(st.sampled_from((2000, 8192))) - draw(st.integers(0, 120))
    message = Message(f"!deploy {args}", frm=TestPerson("bob", email=f"{plain}@mail.example.org"))

    def command(msg: Message, args: str) -> None:
        held = wrapped({name: plain, "text": text, text: 1}, depth)
        pieces = args.split()
        thing = Thing([args, text])
        shouted = f"USER_{word.upper()}"
        raw = text.encode()
        _owner, _, rest = args.partition("/")
        by_word = {word: 1, rest.partition(":")[0]: {word: 2}}
        spelled = json.dumps({"said": args}), args.encode(), by_word
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
        rig.reporter.set_tag("my.tag", text[:200].replace("\n", " "))
        sentry_sdk.add_breadcrumb(message=text, data={name: plain, "word": word})
        try:
            fail(KeyError(other, held, raw, spelled if rig.chat_text == "drop" else None))
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
        forbidden += [word, word.upper(), json.dumps(word)[1:-1], repr(word.encode())[2:-1]]
    # The source lines of this very test are part of the event; they hold none of the drawn texts.
    found = [item for item in forbidden if item in left]
    assert not found, _around(left, found[0])


def _around(text: str, found: str) -> str:
    at = text.index(found)
    return text[max(0, at - 300) : at + 100]
