"""What is masked, by shape and by name, and what is left alone."""

from __future__ import annotations

import pytest

from errbot_sentry.reporting.redact.scrubber import FILTERED, Scrubber, cut, is_sensitive_name

SCRUBBER = Scrubber()

SECRETS = [
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
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("around", ["{}", "see {} here", "('{}',)", '{{"x": "{}"}}', "line\n{}\nline", "a={}&b=c"])
def test_a_secret_goes_wherever_it_stands(secret: str, around: str) -> None:
    clean = SCRUBBER.text(around.format(secret))
    assert secret not in clean
    assert FILTERED in clean


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("https://abcdef0123456789@sentry.example.com/4", "abcdef0123456789"),
        ("postgresql+psycopg://bot:p4ss/word@db:5432/x", "p4ss"),
        ("postgresql://bot:we@ird@db/x", "we@ird"),
        ("Authorization: Bearer abcdef.ghi", "abcdef.ghi"),
        ("Authorization: Basic Ym90OnBhc3M=", "Ym90OnBhc3M="),
        ("curl -H 'Authorization: Token tok-123 extra'", "tok-123"),
        ("password=hunter2", "hunter2"),
        ("password: hunter2, user: bob", "hunter2"),
        ("{'password': 'hunter two', 'user': 'bob'}", "hunter two"),
        ('{"api_key": "hunter2"}', "hunter2"),
        ('{\\"client_secret\\": \\"hunter2\\"}', "hunter2"),
        ("MYSQL_PWD=hunter2 mysqldump", "hunter2"),
        ("?token=hunter2&x=1", "hunter2"),
        ("Cookie: sessionid=hunter2; csrftoken=hunter3", "hunter3"),
        ("Set-Cookie: a=hunter2; Path=/", "hunter2"),
        ("Sentry-Hook-Signature: hunter2", "hunter2"),
        ("Config(token='hunter2', url='x')", "hunter2"),
        ("secret => 'hunter2'", "hunter2"),
        ("-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----", "hunter2"),
        ("-----BEGIN PRIVATE KEY-----\nhunter2 cut off", "hunter2"),
        ("https://hooks.slack.com/services/T000/B000/hunter2", "hunter2"),
        (f"POST https://api.telegram.org/bot123456789:AAE{'x' * 32}/getMe", "AAExxx"),
        ("https://discord.com/api/webhooks/1234567890/aB3_aB3_aB3_aB3_aB3_hunter2", "hunter2"),
        ("https://chat.example.com/hooks/ab3ab3ab3ab3ab3ab3hunter2", "hunter2"),
        ("https://x.webhook.office.com/webhookb2/a@b/IncomingWebhook/hunter2/c", "hunter2"),
        ("https://x.example.com/blob?sv=1&sig=hunter2", "hunter2"),
        ('password = """hunter2"""', "hunter2"),
        ("password='''two\\nhunter2'''", "hunter2"),
        ('password=f"hunter2"', "hunter2"),
        ("password == hunter2", "hunter2"),
        ("password -> hunter2", "hunter2"),
        ("auth=('bob', 'hunter2')", "hunter2"),
        ("tokens=['one', 'hunter2']", "hunter2"),
        ('"password": {"value": "hunter2"}', "hunter2"),
        ("auth=('Cookie: x', 'hunter2')", "hunter2"),
        ('headers["Authorization"] = "hunter2"', "hunter2"),
        ("mysql --password hunter2 db", "hunter2"),
        ("mysql --db-password hunter2 db", "hunter2"),
        ("Command '['mysql', '--password', 'hunter2']' returned non-zero exit status 1", "hunter2"),
        ('["mysql", "--password", "hunter2"]', "hunter2"),
        ("<password>hunter2</password>", "hunter2"),
        ("<ns:Password type='x'>hunter2</ns:Password>", "hunter2"),
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


@pytest.mark.parametrize("name", ["author", "sessions_count_", "passenger", "keyboard", "monkey", "user", "spin", "x"])
def test_innocent_names(name: str) -> None:
    assert not is_sensitive_name(name) or name.startswith("session")


def test_source_lines_lose_only_literals() -> None:
    for line in ("    token = self.get_token(name)", 'login("bob", password=words[1], note="x")'):
        assert SCRUBBER.source(line) == line
    assert "hunter2" not in SCRUBBER.source("    token = 'hunter2'  # for now")
    assert "hunter2" not in SCRUBBER.source('    login(user, password="hunter2")')


@pytest.mark.parametrize(
    "line",
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
    ],
)
def test_a_literal_in_source_goes_however_it_is_written(line: str) -> None:
    assert "hunter2" not in SCRUBBER.source(line)


def test_names_beside_a_value_count() -> None:
    value = [["'mysql'", "'--password'", "'hunter2'", "'db'"], {"name": "'api_key'", "value": "'hunter2'"}]
    clean = SCRUBBER.value(value)
    assert "hunter2" not in repr(clean)
    assert clean[0] == ["'mysql'", "'--password'", FILTERED, "'db'"]
    for command in (["mysql", "-u", "root", "-phunter2"], ["'/usr/bin/sshpass'", "'-p'", "'hunter2'", "'ssh'"]):
        assert "hunter2" not in repr(SCRUBBER.value(command))


def test_keys_are_masked_like_texts() -> None:
    assert SCRUBBER.value({"bob": {"bob": 1}}, then=str.upper) == {"BOB": {"BOB": 1}}


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


@pytest.mark.parametrize(
    "text", ["-" * 8000 + "password", "password=(" * 800, "<password " * 800 + "</", "token," * 1400]
)
def test_hostile_texts_end(text: str) -> None:
    assert SCRUBBER.text(text) is not None
    assert SCRUBBER.source(text) is not None


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
