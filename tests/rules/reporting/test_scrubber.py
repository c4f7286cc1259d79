"""What is masked, by shape and by name, and what is left alone."""

from __future__ import annotations

import base64
import json
import time
from urllib.parse import quote

import pytest

from errbot_sentry.reporting.redact.scrubber import FILTERED, Scrubber, cleaned, cut, is_sensitive_name

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
        "password=hunter2",
        "password: hunter2, user: bob",
        '{"api_key": "hunter2"}',
        '{\\"client_secret\\": \\"hunter2\\"}',
        "MYSQL_PWD=hunter2 mysqldump",
        "?token=hunter2&x=1",
        "Set-Cookie: a=hunter2; Path=/",
        "Sentry-Hook-Signature: hunter2",
        "Config(token='hunter2', url='x')",
        "secret => 'hunter2'",
        "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nhunter2 cut off",
        "https://hooks.slack.com/services/T000/B000/hunter2",
        "https://discord.com/api/webhooks/1234567890/aB3_aB3_aB3_aB3_aB3_hunter2",
        "https://chat.example.com/hooks/ab3ab3ab3ab3ab3ab3hunter2",
        "https://x.webhook.office.com/webhookb2/a@b/IncomingWebhook/hunter2/c",
        "https://x.example.com/blob?sv=1&sig=hunter2",
        'password = """hunter2"""',
        "password='''two\\nhunter2'''",
        'password=f"hunter2"',
        "password == hunter2",
        "password -> hunter2",
        "auth=('bob', 'hunter2')",
        "tokens=['one', 'hunter2']",
        '"password": {"value": "hunter2"}',
        "auth=('Cookie: x', 'hunter2')",
        'headers["Authorization"] = "hunter2"',
        "mysql --password hunter2 db",
        "mysql --db-password hunter2 db",
        "Command '['mysql', '--password', 'hunter2']' returned non-zero exit status 1",
        '["mysql", "--password", "hunter2"]',
        "<password>hunter2</password>",
        "<ns:Password type='x'>hunter2</ns:Password>",
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
    assert "12345," not in clean


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
        "sntrys_eyJpYXQiOjE2ODc0_abcdefghij",
        "sntryu_0123456789abcdef0123456789abcdef",
        "xoxb-123456789012-abcdefABCDEF",
        "xapp-1-A012345-6789-abcdef",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "github_pat_11ABCDEFG0abcdefghijklmn",
        "glpat-abcdefghij0123456789",
        "AKIAIOSFODNN7EXAMPLE",
        "AIzaSyA-abcdefghijklmnopqrstuvwxyz01234",
        "sk-proj-abcdefghijklmnopqrstuvwxyz",
        "sk_live_abcdefghijklmnop",
        "npm_abcdefghijklmnopqrstuvwxyz0123456789",
        "pypi-AgEIcHlwaS5vcmcCJDAwMDA",
        "SG.abcdefghijklmnop.qrstuvwxyz0123456789",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.s5a7b8c9d0e1f2",
        "0123456789abcdef" * 4,
        "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0",
        "MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs_q",
        "bob.builder+x@mail.example.com",
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
def test_a_secret_goes_wherever_it_stands(secret: str, around: str) -> None:
    clean = SCRUBBER.text(around.format(secret))
    for piece in (secret, secret[:12], secret[-5:], secret[len(secret) // 2 :][:8]):
        assert piece not in clean
    assert FILTERED in clean


@pytest.mark.parametrize("make", [quote, lambda text: json.dumps(text)[1:-1], lambda text: repr(text)[1:-1],
    lambda text: base64.b64encode(text.encode()).decode()], ids=["quote", "json", "repr", "base64"])  # fmt: skip
def test_what_the_bot_knows_goes_in_every_spelling(make: object) -> None:
    secret = 'cörrect "horse" b\\ttery\''
    spelled = make(secret)
    assert spelled not in Scrubber([secret]).text(f"about {spelled} here")


def test_a_known_secret_may_be_our_own_word() -> None:
    assert Scrubber(["Filtered"]).text("is Filtered out") == f"is {FILTERED} out"


@pytest.mark.parametrize(
    "source",
    [
        'password = """hunter2"""',
        'password: str = "hunter2"',
        'PASSWORD: Final[str] = "hunter2"',
        'password=f"hunter2"',
        "login(password=rb'hunter2')",
        'os.environ["DB_PASSWORD"] = "hunter2"',
        'os.environ.get("DB_PASSWORD", "hunter2")',
        'if password == "hunter2":',
        'if (password := "hunter2"):',
        'password = ("hunter2"',
        'TOKENS = ["hunter2"]',
        'set_password("hunter2")',
        'run(["mysql", "--password", "hunter2"])',
        'cmd = "mysql --password hunter2"',
        'run(["mysql", "-phunter2"])',
        'connect("host=db password=hunter2")',
        'connect(f"host={host} password=hunter2")',
        "    token = 'hunter2'  # for now",
        '    login(user, password="hunter2")',
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
def test_a_literal_in_source_goes_however_it_is_written(source: str) -> None:
    clean = SCRUBBER.source(source)
    assert "hunter2" not in clean, clean
    assert clean.count("\n") == source.count("\n")
    if source.endswith(("\nrun()", "\nrun(1 / 0)")) and "'''" not in source:
        assert clean.split("\n")[-1] == source.split("\n")[-1]


@pytest.mark.parametrize(
    "source",
    [
        'def f():\n    """What it is for."""\n    return g(\n        "a text",\n        x=1,\n    )',
        'COLOURS = [\n    "red",\n    "green",\n]',
        '    it\'s prose of a docstring\n    and more, don\'t you see\n    """\n    return run("x")',
        'token = self.get_token(\n    name,\n    "x",\n)',
        "# don't\nlog.info('done')",
        "    token = self.get_token(name)",
        'login("bob", password=words[1], note="x")',
        'for token in tokens:\n    print("x", token)',
    ],
)
def test_other_source_stays(source: str) -> None:
    assert SCRUBBER.source(source) == source


@pytest.mark.parametrize(
    "text",
    [
        "password=(" * 1600, "password=[\"" * 800, "token=\\" * 1600, "token" * 3000 + "=", "'token'," * 2000,
        "'" * 9000, "auth_" * 3000 + "=",
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

    def seconds(times: int) -> float:
        began = time.thread_time()
        Scrubber().text(text * times)
        Scrubber().source(text * times)
        return time.thread_time() - began

    seconds(1)
    once, eight = seconds(1), seconds(8)
    assert eight < 24 * once + 0.3, (once, eight)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("https://abcdef0123456789@sentry.example.com/4", "abcdef0123456789"),
        ("postgresql+psycopg://bot:p4ss/word@db:5432/x", "p4ss"),
        ("postgresql://bot:we@ird@db/x", "we@ird"),
        ("Authorization: Bearer abcdef.ghi", "abcdef.ghi"),
        ("Authorization: Basic Ym90OnBhc3M=", "Ym90OnBhc3M="),
        ("curl -H 'Authorization: Token tok-123 extra'", "tok-123"),
        ("{'password': 'hunter two', 'user': 'bob'}", "hunter two"),
        ("Cookie: sessionid=hunter2; csrftoken=hunter3", "hunter3"),
        (f"POST https://api.telegram.org/bot123456789:AAE{'x' * 32}/getMe", "AAExxx"),
    ],
)
def test_a_secret_is_known_by_what_stands_before_it(text: str, secret: str) -> None:
    assert secret not in SCRUBBER.text(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "division by zero",
        "unexpected keyword argument 'token'",
        "HTTPConnectionPool(host='sentry.example.com', port=443): Max retries exceeded",
        "release bot@1.2.3 of 2026-11-20",
        "auth-service: started",
        "shop/auth.py:12 in session_views.py:7",
        "commit 3f2a9d0c4b5e6f708192a3b4c5d6e7f8091a2b3c",
        "event 1f2e3d4c5b6a79880123456789abcdef",
        "/srv/bot/plugins/author/passenger.py",
        "line 12, in authenticate",
        "the author: Bob",
        "room #ops: 3 people",
        "usage: --token-file, --password",
        "mkdir -parents /srv/mysql -p x",
        "mysql -u root -P 3306 --protocol=tcp shop",
        '<input value="blue" name="colour"> of a <b>password</b>',
        "https://sentry.example.com/settings/webhooks/",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert SCRUBBER.text(text) == text


def test_known_secrets_go_even_without_a_shape() -> None:
    assert Scrubber(["plain-word"]).text("a plain-word b") == f"a {FILTERED} b"


def test_names_that_are_no_mail_addresses_may_stay() -> None:
    assert SCRUBBER.text("bob@jabber.example.com", mails=False) == "bob@jabber.example.com"
    assert SCRUBBER.text("ghp_abcdefghijklmnopqrstuvwxyz0123456789", mails=False) == FILTERED


@pytest.mark.parametrize(
    "name",
    ["password", "PASSWORD", "db_passwd", "apiKey", "api-key", "authToken", "X-Auth", "auth", "session", "SENTRY_DSN",
        "clientSecret", "Set-Cookie", "Sentry-Hook-Signature", "private_key", "user_pwd", "jwt", "Authorization"],
)  # fmt: skip
def test_sensitive_names(name: str) -> None:
    assert is_sensitive_name(name)


@pytest.mark.parametrize("name", ["session_id", "SESSION_ID", "auth_header", "pwd1", "pass_2", "my_sid_value", "pw2",
    "otp_code", "X-Auth-Key", "session-id", "dsn_url"])  # fmt: skip
@pytest.mark.parametrize(
    "form", ["{}=Zk3vQ9", "{}: Zk3vQ9", '{{"{}": "Zk3vQ9"}}', "?a=1&{}=Zk3vQ9", "<{0}>Zk3vQ9</{0}>"]
)
def test_a_name_that_masks_a_key_masks_the_same_value_in_a_text(name: str, form: str) -> None:
    assert is_sensitive_name(name)
    assert "Zk3vQ9" not in SCRUBBER.text(form.format(name))


@pytest.mark.parametrize("name", ["author", "sessions_count_", "passenger", "keyboard", "monkey", "user", "spin", "x"])
def test_innocent_names(name: str) -> None:
    assert not is_sensitive_name(name) or name.startswith("session")


def test_names_beside_a_value_count() -> None:
    value = [["'mysql'", "'--password'", "'hunter2'", "'db'"], {"name": "'api_key'", "value": "'hunter2'"}]
    clean = SCRUBBER.value(value)
    assert "hunter2" not in repr(clean)
    assert clean[0] == ["'mysql'", "'--password'", FILTERED, "'db'"]
    for command in (["mysql", "-u", "root", "-phunter2"], ["'/usr/bin/sshpass'", "'-p'", "'hunter2'", "'ssh'"]):
        assert "hunter2" not in repr(SCRUBBER.value(command))


def test_keys_are_masked_like_texts() -> None:
    assert cleaned({"bob": {"bob": 1}}, str.upper) == {"BOB": {"BOB": 1}}


URL = "postgresql://bot:hunter2hunter2@db/x"  # without its end it has no shape


@pytest.mark.parametrize("left", range(1, len(URL)))
def test_no_half_of_a_secret_is_left_by_a_limit(left: int) -> None:
    text = "word " * 100 + URL
    longest = len(text) - len(URL) + left
    cut_by_the_sdk = text[:longest] + "..."
    for clean in (cut(text, longest), SCRUBBER.text(cut_by_the_sdk), SCRUBBER.source(cut_by_the_sdk)):
        assert "bot:h" not in clean


def test_cutting_is_bounded_both_ways() -> None:
    assert cut("short", 10) == "short"
    assert len(cut("x" * 20_000, 8192)) == 8192 - 1000 + 1


def test_values_are_cleaned_at_any_depth() -> None:
    value = {
        "list": [{"token": "hunter2", "deep": [{"deeper": ["password=hunter2"]}]}],
        "headers": [["Authorization", "hunter2"], ["Accept", "text"]],
        "auth": {"nested": "hunter2"},
        "number": 3,
        "none": None,
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789": "as a key",
    }
    clean = SCRUBBER.value(value)
    assert "hunter2" not in repr(clean)
    assert "ghp_" not in repr(clean)
    assert clean["number"] == 3
    assert clean["none"] is None
    assert clean["headers"][1] == ["Accept", "text"]


def test_a_bottomless_value_ends() -> None:
    value: list[object] = []
    value.append(value)
    assert FILTERED in repr(SCRUBBER.value(value))
