"""Shapes that were promised and got through once, each with its relatives."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest

from errbot_sentry.reporting.redact.scrubber import FILTERED, Scrubber

SCRUBBER = Scrubber()
BODY = "hunter2hunter2HUNTER2/+abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN01234"[:64]
KEYS = {
    "pem": ("-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----"),
    "openssh": ("-----BEGIN OPENSSH PRIVATE KEY-----", "-----END OPENSSH PRIVATE KEY-----"),
    "encrypted": ("-----BEGIN ENCRYPTED PRIVATE KEY-----", "-----END ENCRYPTED PRIVATE KEY-----"),
    "pgp": ("-----BEGIN PGP PRIVATE KEY BLOCK-----", "-----END PGP PRIVATE KEY BLOCK-----"),
    "ssh2": ("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----", "---- END SSH2 ENCRYPTED PRIVATE KEY ----"),
    "putty": ("PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 3", "Private-MAC: 0123456789abcdef"),
}


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("form", ["text", "lines", "printed lines", "json", "cut off", "first ten lines", "one by one"])
def test_a_private_key_goes_whole_and_in_lines(kind: str, form: str) -> None:
    begins, ends = KEYS[kind]
    text = f"{begins}\n{BODY}\n{BODY}\nhunter2==\n{ends}"
    lines = text.split("\n")
    given: object = {
        "text": f"before\n{text}\nafter",
        "lines": ["before", *lines, "after"],
        "printed lines": repr(lines),
        "json": json.dumps({"x": lines}),
        "cut off": f"before\n{begins}\n{BODY}\nhunter2",
        "first ten lines": [f"'{line}'" for line in (*lines[:-1], "hunter2")],
        "one by one": [[line] for line in lines if line != "hunter2=="],
    }[form]
    clean = repr(SCRUBBER.value(given))
    assert "hunter2" not in clean
    assert FILTERED in clean
    if form in ("text", "lines"):
        assert "before" in clean
        assert "after" in clean


@pytest.mark.parametrize(
    "text",
    [
        "(b'x-api-key', b'hunter2')",
        '(b"x-api-key", b"hunter2")',
        "[('password', 'hunter2')]",
        "[('user', 'bob'), ('password', 'hunter2')]",
        "(('token', ('a', 'hunter2')),)",
        "['password', 'hunter2']",
        '["user", "bob", "password", "hunter2"]',
        '[\\"password\\", \\"hunter2\\"]',
        "('pin', 12345, 'x', 'y')",
        "{'password': ['a', ['b', 'hunter2']]}",
        "{'password': {'x': {'y': ['hunter2']}, 'z': 'hunter2'}}",
        '{"tokens": [{"value": "a]"}, {"value": "hunter2"}]}',
        "password=('a', ('b', (1, 'hunter2')))",
        "password=['it]s', 'hunter2']",
        "secrets={'a': b'hunter2', 'b': [b'hunter2'",
        "token=Secret('hunter2')",
        "token=SecretStr(b64('hunter2'))",
        "password=<hunter2>",
        '{"name": "password", "value": "hunter2"}',
        "{'key': 'api_key', 'value': b'hunter2'}",
        '<add key="password" value="hunter2"/>',
        '<add value="hunter2" key="password"/>',
        "<input type='x' value='hunter2' class='y' name='db_password'>",
        '{"value": "hunter2", "name": "api_key"}',
        '{\\"value\\": \\"hunter2\\", \\"key\\": \\"api_key\\"}',
        "mysql -uroot -phunter2 db",
        "/usr/bin/mysqldump -P 3306 -p'hunter2' --all-databases",
        "mariadb-dump -u root -phunter2",
        "sshpass -p hunter2 ssh bob@host",
        "Command '['mysql', '-u', 'root', '-phunter2']' returned non-zero exit status 1",
        '["sshpass", "-p", "hunter2", "ssh"]',
        'password="hunter2\\',
        '{"x": "{\\"password\\": \\"a\\\\\\"hunter2\\"}"}',
        "<password><![CDATA[hunter2]]></password>",
        "<password>\n  <![CDATA[hunter2]]>",
        "api:\n  password: |\n    abc\n    hunter2\n\n    hunter2\n  user: bob",
        "authorization=Secret('hunter2')",
        "Authorization: Wrapped(b'hunter2')",
        'Authorization: Digest username="bob", response="hunter2", nc=1',
        "'headers': 'Authorization: Digest response=\\\"hunter2\\\", nc=1'",
        "next=%2Fx%3Ftoken%3Dhunter2%26a",
        "%22password%22%3A%20%22hunter2%22",
        "next=%252Fx%253Ftoken%253Dhunter2",
        "&quot;password&quot;: &quot;hunter2&quot;",
        "&#39;password&#39;:&#39;a hunter2&#39;",
        "passwords:\n  - abc\n  - hunter2",
        "passwords:\n- abc\n- hunter2\nuser: bob",
        "api:\n  tokens:\n    a: abc\n    b: hunter2\n  user: bob",
        "'api:\\n  tokens:\\n    - abc\\n    - hunter2\\n  user: bob'",
        "password\n=\nhunter2",
        "cookie: >-\n  abc\n  hunter2",
        "'x:\\n  authorization: |\\n    abc\\n    hunter2\\n  user: bob'",
        "token: >-\n  abc\n  hunter2",
        "- secret: |2\n    hunter2\n  user: bob",
        "'api:\\n  password: |\\n    abc\\n    hunter2\\n  user: bob'",
        json.dumps("a: b\npassword: |+\n  abc\n  hunter2\n"),
        repr(json.dumps("a: b\npassword: |  # two lines\n  abc\n  hunter2\n")),
    ],
)
def test_values_of_every_form_are_known_by_their_names(text: str) -> None:
    clean = SCRUBBER.text(text)
    assert "hunter2" not in clean, clean
    assert "12345" not in clean


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        ("api:\n  password: |\n    hunter2\n  user: bob", "\n  user: bob"),
        ("x = {'password': ['hunter2', '('], 'user': 'bob'}", ", 'user': 'bob'}"),
        ("password=(don't, hunter2) for bob", " for bob"),
        ("[('password', 'hunter2'), ('user', 'bob')]", "('user', 'bob')]"),
        ("'token', 'hunter2'", "'token', "),
        ("api:\n  tokens:\n    a: hunter2\n  user: bob", "\n  user: bob"),
        ("&quot;token&quot;:&quot;hunter2&quot;,&quot;user&quot;", ",&quot;user&quot;"),
    ],
)
def test_what_follows_a_value_stays(text: str, stays: str) -> None:
    clean = SCRUBBER.text(text)
    assert "hunter2" not in clean
    assert stays in clean


@pytest.mark.parametrize(
    "secret",
    [
        "GOCSPX-abcdefghij_klmnop-qrstuvwxyz",
        "1//0abcdefghijk-lmnopqrstuvwxyz_0123456789",
        "hvb.AAAAAQJabcdefghijklmnopqrstuvwxyz",
        "hvr.AAAAAQJabcdefghijklmnopqrstuvwxyz",
        "shpss_0123456789abcdef0123456789abcdef",
        "shpca_0123456789abcdef0123456789abcdef",
        "shppa_0123456789abcdef0123456789abcdef",
        "glpat-abcdefghijklmnopqrstuvwxyz.01.0y0abcdef",
        "eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..aXZpdml2.Y2lwaGVydGV4dA.dGFndGFn",
        "AGE-SECRET-KEY-1QQPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L",
        "bob@пример.рф",
        "боб@пример.рф",
        "bob@例え.テスト",
        "bob@उदाहरण.परीक्षा",
        "bob@mail.xn--p1ai",
        "bob.builder%2Bx%40mail.example.com",
        "bob%40mail.example.com",
        "bob%2540mail.example.com",
        quote("боб@пример.рф"),
        json.dumps("боб@пример.рф")[1:-1],
        "bob\\u0040mail.example.com",
        "bob&#64;mail.example.com",
        "bob＠mail.example.com",
        "o'brien@mail.example.com",
        BODY,
    ],
)
@pytest.mark.parametrize(
    "around", ["{}", "see {} here", "('{}',)", '{{"x": "{}"}}', "a\n{}\nb", "a={}&b=c", "a\\n{}\\nb"]
)
def test_a_shape_goes_wherever_it_stands(secret: str, around: str) -> None:
    clean = SCRUBBER.text(around.format(secret))
    for piece in (secret, secret[:12], secret[-5:], secret[len(secret) // 2 :][:8]):
        assert piece not in clean
    assert FILTERED in clean


@pytest.mark.parametrize("make", [quote, lambda text: json.dumps(text)[1:-1], lambda text: repr(text)[1:-1],
    lambda text: base64.b64encode(text.encode()).decode()], ids=["quote", "json", "repr", "base64"])  # fmt: skip
def test_what_the_bot_knows_goes_in_every_spelling(make: object) -> None:
    secret = 'cörrect "horse" b\\ttery\''
    spelled = make(secret)  # type: ignore[operator]
    assert spelled not in Scrubber([secret]).text(f"about {spelled} here")


def test_a_known_secret_may_be_our_own_word() -> None:
    assert Scrubber(["Filtered"]).text("is Filtered out") == f"is {FILTERED} out"


@pytest.mark.parametrize(
    "source",
    [
        'TOKENS = [\n    "abc",\n    "hunter2",\n]\nrun()',
        'PASSWORD = (\n    "abc"\n    "hunter2"\n)\nrun()',
        'password = "abc" \\\n    "hunter2"',
        'password = "abc" + "hunter2"',
        'SECRETS = {\n    "a": "hunter2",\n    "b": ["hunter2", {"c": "hunter2"}],\n}',
        'TOKEN = """\nhunter2\nhunter2\n"""\nrun()',
        "TOKEN = '''\nhunter2\nrun()",
        'connect(\n    password=(\n        b"abc"\n        rb"hunter2"\n    ),\n)',
        '    "hunter2",\n    "hunter2",\n]\nrun(1 / 0)',
        '    "prod": "hunter2",  # live\n    "test": "hunter2",\n}\nrun(1 / 0)',
        '    "hunter2"\n    "hunter2"',
        'headers = [("x-api-key", "hunter2")]',
        'requests.get(u, headers={"X-Api-Key": "hunter2"})',
        'config = """\nuser: bob\npassword: hunter2\n"""\nrun()',
        'config = "password: |\\n  hunter2\\n"',
    ],
)
def test_literals_over_several_lines_go_from_source(source: str) -> None:
    clean = SCRUBBER.source(source)
    assert "hunter2" not in clean, clean
    assert clean.count("\n") == source.count("\n")
    if "run(" in source and "'''" not in source:
        assert clean.split("\n")[-1] == source.split("\n")[-1]


@pytest.mark.parametrize(
    "source",
    [
        'def f():\n    """What it is for."""\n    return g(\n        "a text",\n        x=1,\n    )',
        'COLOURS = [\n    "red",\n    "green",\n]',
        '    it\'s prose of a docstring\n    and more, don\'t you see\n    """\n    return run("x")',
        'token = self.get_token(\n    name,\n    "x",\n)',
        "# don't\nlog.info('done')",
        'for token in tokens:\n    print("x", token)',
    ],
)
def test_other_source_stays(source: str) -> None:
    assert SCRUBBER.source(source) == source


@pytest.mark.parametrize(
    "text",
    [
        "password=(" * 1600, "password=[\"" * 800, "token=\\" * 1600, "token" * 3000 + "=", "'token'," * 2000,
        "'" * 9000,
        "\\" * 9000 + "password", "password" + "\\" * 9000, "password:" + " " * 9000,
        "mysql " * 1500, "sshpass -p " * 800, "<a value='" * 900, "value='x' " * 900, "value='x',name=" * 600,
        "<password " * 1600 + "</",
        "eyJ" * 5000, "a://" * 4000 + "@", "://:" * 4000, "://a:" * 3000 + "@", "@" * 9000, "a@" * 4000, "a%40" * 3000,
        "a." * 5000 + "@" + "b." * 5000, "@" + "\\u0040" * 2000, "\\\\u0041" * 1500 + "@", "-----BEGIN " * 1000,
        "-----BEGIN PRIVATE KEY-----" * 500, "PRIVATE KEY-----" * 900 + "---- END ", "password: |\n" * 1000,
        "password: |\\n" * 1000, "bearer " * 2000, "--password " * 1200, "xox-" * 3000,
        "[" * 9000 + "password=" + "[" * 9000,
        "'password', " * 1000 + "'", '"""' * 4000, "password=\"\"\"" * 900, "# '\n" * 3000, "0" * 9000 + ":" + "a" * 29,
    ],
)  # fmt: skip
def test_hostile_texts_take_time_in_proportion(text: str) -> None:
    """The clock of the thread, and twice the text: nothing quadratic hides behind a fast machine."""
    import time

    def seconds(times: int) -> float:
        began = time.thread_time()
        Scrubber().text(text * times)
        Scrubber().source(text * times)
        return time.thread_time() - began

    seconds(1)
    once, eight = seconds(1), seconds(8)
    assert eight < 24 * once + 0.3, (once, eight)
