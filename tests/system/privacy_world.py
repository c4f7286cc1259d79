"""Secrets and words in every shape, everything that code does with them, and a bot's command to plant them in.

For test_report_privacy*.py; PRIVACY_EXAMPLES=2000 is the nightly size.
"""

from __future__ import annotations

import json
import linecache
import logging
import os
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from types import MethodType, SimpleNamespace
from typing import Any
from urllib.parse import quote

from errbot.backends.base import Message
from errbot.core import ErrBot
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from errbot_sentry.config.secrets import Secret
from errbot_sentry.config.settings import ReportSettings
from errbot_sentry.reporting.collect.bot_context import BotFacts
from errbot_sentry.reporting.reporter import Reporter
from tests.fakes.ingest_server import IngestServer
from tests.system.report_bot import wait_until_sent

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
    shaped("GOCSPX-", ALNUM + "-_", 20, 40),
    shaped("1//0", ALNUM + "-_", 20, 80),
    shaped("hvb.", ALNUM + "-_", 24, 80),
    shaped("shpss_", LOWER_HEX, 32, 32),
    shaped("shpca_", LOWER_HEX, 32, 32),
    shaped("shppa_", LOWER_HEX, 32, 32),
    run(LOWER_HEX, 64, 64),
    st.tuples(run(ALNUM, 10, 30), run(ALNUM, 10, 60), run(ALNUM, 10, 40)).map(lambda p: f"eyJ{p[0]}.eyJ{p[1]}.{p[2]}"),
    st.tuples(run("123456789", 8, 12), run(ALNUM + "-_", 35, 35)).map(":".join),  # Telegram
    st.tuples(run(ALNUM, 4, 12), run(ALNUM.lower(), 3, 10)).map(lambda p: f"{p[0]}@{p[1]}.example.org"),
    st.tuples(run(ALNUM, 4, 12), run(ALNUM.lower(), 3, 10)).map(lambda p: f"{p[0]}%40{p[1]}.example.org"),
    st.tuples(run(ALNUM, 4, 12), run("абвгдеж", 3, 10), st.sampled_from(("рф", "中国", "xn--p1ai", "भारत"))).map(
        lambda p: f"{p[0]}@{p[1]}.{p[2]}"
    ),
)
# Prefixes keep the two apart: breadcrumbs of earlier examples travel too, and one's word may be another's secret.
PLAIN = shaped("Pq", ALNUM, 10, 24)
WORD = st.one_of(shaped("Wz", ALNUM, 6, 16), shaped("Щя", "абвгдежзийклмнопрстуфхцчшщыьэюя", 6, 16))
# A name of several parts, which a program takes apart.
PART = st.one_of(shaped("Xq", "abcdefghijklm", 6, 12), shaped("Жё", "éüñöäйёabc", 6, 12))
JOINED = st.sampled_from(("{}_{}", "dept_{}.{}", "{}{}", "{}4711{}", "{}-{}"))
KEYS = (
    ("-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----"),
    ("-----BEGIN PGP PRIVATE KEY BLOCK-----", "-----END PGP PRIVATE KEY BLOCK-----"),
    ("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----", "---- END SSH2 ENCRYPTED PRIVATE KEY ----"),
    ("PuTTY-User-Key-File-2: ssh-rsa\nPrivate-Lines: 4", "Private-MAC: 0123456789abcdef0123456789abcdef01234567"),
)


class Thing:
    """An object whose repr shows everything."""

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
        repr([(name.encode(), plain.encode())]),
        repr([("user", "bob"), (name, plain)]),
        repr({name: ["a", {"b": ("c", [plain])}]}),
        repr({"x": json.dumps({name: {"y": [plain, "]", plain]}})}),
        json.dumps([{"name": name, "value": plain}]),
        f"Config({name}=Secret('{plain}'))",
        f"api:\n  {name}: |\n    first\n    {plain}\n\n    {plain}\n  user: bob",
        repr(f"api:\n  {name}: >-\n    first\n    {plain}\n  user: bob"),
        f"mail to {quote(secret)} and {json.dumps(secret)}",
        *("\n".join(lines_of_key(kind, plain)) for kind in range(len(KEYS))),
        *(repr(lines_of_key(kind, plain)) for kind in range(len(KEYS))),
    ]


def lines_of_key(kind: int, plain: str) -> list[str]:
    """A private key that was split into lines."""
    begins, ends = KEYS[kind]
    return [*begins.split("\n"), plain, plain + "==", ends]


def sources_of(name: str, plain: str) -> list[str]:
    """Lines of plugins with secrets in literals; the last one fails."""
    variable = re.sub(r"\W", "_", name)
    return [
        f'{variable} = [\n    "first",\n    "{plain}",\n]\nboom()',
        f'{variable} = (\n    "first"\n    "{plain}"\n)\nboom()',
        f'{variable} = {{\n    "prod": "{plain}",\n    "test": ["{plain}"],\n}}\nboom()',
        f'{variable} = """\n{plain}\n{plain}\n"""\nboom()',
        f"{variable} = [\n{''.join(f'    {plain!r},{chr(10)}' for _ in range(12))}    boom(),\n]",
        f'boom(\n    {variable}=(\n        b"first"\n        rb"{plain}"\n    ),\n)',
        f'config = """\n  {name}: |\n    {plain}\n  user: bob\n"""\nboom()',
        f'boom(headers=[("{name}", "{plain}")])',
    ]


def run_source(source: str, names: dict[str, Any]) -> None:
    """Run lines that the traceback can show."""
    path = "/srv/bot/plugins/drawn.py"
    linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
    exec(compile(source, path, "exec"), names)


def wrapped(value: object, depth: int) -> object:
    """The value inside of containers and objects."""
    for level in range(depth):
        value = [{"deeper": value, "other": 1}, (value, level), {"list": [value]}, Thing(value)][level % 4]
    return value


def fail(error: Exception) -> None:
    raise error


class Rig:
    """A reporter, a server, and Errbot's own function around the failing command."""

    def __init__(self, folder: Path, server: IngestServer, chat_text: str, repeat_seconds: float = 0) -> None:
        self.server = server
        self.chat_text = chat_text
        self.drawn = "", "", ""
        self.reporter = Reporter(
            ReportSettings(enabled=True, dsn=Secret(server.dsn), chat_text=chat_text, repeat_seconds=repeat_seconds),
            BotFacts("test", "6.2.1"),
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
        self.run(command, message, args)
        wait_until_sent(self.reporter)
        errors = [event for event in self.server.events() if "exception" in event]
        assert errors[-1]["exception"]["values"][-1]["type"] == "RuntimeError", errors
        return self.server.bytes().decode()

    def run(self, command: Any, message: Message, args: str) -> None:
        """Run the command as Errbot does."""
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


def examples(count: int) -> settings:
    """No shrinking: each example is a whole report to a server, and what was found is shown in its surroundings."""
    return settings(
        max_examples=count,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
    )


def assert_nowhere(forbidden: Sequence[str], left: str) -> None:
    """None of these texts is in what left; else one is shown where it was found."""
    for item in forbidden:
        at = left.find(item)
        assert at < 0, f"{item!r} in {left[max(0, at - 300) : at + 100]}"
