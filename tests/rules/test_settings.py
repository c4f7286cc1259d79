"""Settings: parsed once, every mistake in one plain sentence, no secret anywhere."""

from __future__ import annotations

import ast
import itertools
import logging
import os
import re
import runpy
import sys
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from errbot_sentry.config.mistakes import ALERTS, QUERY, REPORT, unmatched_projects
from errbot_sentry.config.settings import read_settings
from errbot_sentry.config.settings_table import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
NAMES = tuple(setting.name for setting in SETTINGS)
DSN = "https://0123456789abcdef0123456789abcdef@sentry.example.com/42"


def _read(environ=None, mode="", **values):
    config = SimpleNamespace(BOT_ADMINS=("@admin",), BOT_DATA_DIR="/data", **values)
    return read_settings(config, environ or {}, mode)


def test_nothing_set_means_the_defaults_of_the_design():
    """An operator who sets nothing gets a bot that does nothing, without a complaint."""
    found = _read()
    assert not found.mistakes
    assert not found.report.enabled
    assert (found.report.breadcrumb_level, found.report.event_level) == (logging.INFO, logging.ERROR)
    assert (found.report.chat_text, found.report.spool_mb, found.report.repeat_seconds) == ("scrub", 50, 60)
    assert (found.server.url, found.server.kind, found.server.org) == ("https://sentry.io", "auto", "")
    assert found.access.writers == ("@admin",)
    assert found.alerts.routes == ()
    assert found.alerts.poll_seconds == 60
    assert found.commands.unfurl
    assert found.commands.author_notes
    assert not found.state_url
    assert found.state_file == Path("/data/sentry_reporter.sqlite3")


def test_a_relative_data_folder_is_settled_at_the_start(tmp_path, monkeypatch):
    """A plugin may change the working directory of the whole bot; what is spooled must not wander."""
    monkeypatch.chdir(tmp_path)
    found = read_settings(SimpleNamespace(BOT_ADMINS=(), BOT_DATA_DIR="data"), {})
    assert (found.data_dir, found.state_file) == (tmp_path / "data", tmp_path / "data" / "sentry_reporter.sqlite3")


def test_only_loglevel_set_is_the_event_level_as_in_older_errbot():
    """Old configurations keep their meaning."""
    assert _read(SENTRY_LOGLEVEL=logging.WARNING).report.event_level == logging.WARNING
    both = _read(SENTRY_LOGLEVEL=logging.DEBUG, SENTRY_EVENTLEVEL=logging.CRITICAL).report
    assert (both.breadcrumb_level, both.event_level) == (logging.DEBUG, logging.CRITICAL)


@pytest.mark.parametrize(
    ("name", "value", "part", "flows"),
    [
        ("BOT_LOG_SENTRY", "False", "True or False", {REPORT}),
        ("SENTRY_DSN", "sentry.example.com/1", "expected a DSN", {REPORT}),
        ("SENTRY_DSN", "https://0123456789abcdef@host", "has no project", {REPORT}),
        ("SENTRY_DSN", 7, "got an int", {REPORT}),
        ("SENTRY_LOGLEVEL", "LOUD", "logging level", {REPORT}),
        ("SENTRY_EVENTLEVEL", True, "logging level", {REPORT}),
        ("SENTRY_OPTIONS", [], "expected a dict", {REPORT}),
        ("SENTRY_OPTIONS", {"dsn": "x"}, "SENTRY_DSN instead", {REPORT}),
        ("SENTRY_OPTIONS", {"in_app_exclude": 5}, "'in_app_exclude' as a list of strings, got 5", {REPORT}),
        ("SENTRY_OPTIONS", {"in_app_include": "shop"}, "'in_app_include' as a list of strings", {REPORT}),
        ("SENTRY_OPTIONS", {"ignore_errors": [5]}, "'ignore_errors' as a list of exception types", {REPORT}),
        ("SENTRY_OPTIONS", {"event_scrubber": 5}, "'event_scrubber' as an EventScrubber", {REPORT}),
        ("SENTRY_OPTIONS", {"project_root": Path("/srv")}, "'project_root' as a string, got a ", {REPORT}),
        ("SENTRY_OPTIONS", {"before_send": {}}, "'before_send' as a function", {REPORT}),
        ("SENTRY_OPTIONS", {"sample_rate": "0.5"}, "'sample_rate' as a number", {REPORT}),
        ("SENTRY_CHAT_TEXT", "all", "'send', 'scrub', 'drop'", {REPORT}),
        ("SENTRY_SPOOL_MB", -1, "0 or more", {REPORT}),
        ("SENTRY_CANARY", "15s", "a minute or more", set()),
        ("SENTRY_CANARY", 900, "a minute or more", set()),
        ("SENTRY_CANARY", "soon", "a minute or more", set()),
        ("SENTRY_REPEAT_SECONDS", "60", "0 or more", {REPORT}),
        ("SENTRY_URL", "sentry.io", "the server's address", {QUERY, ALERTS}),
        ("SENTRY_URL", "https://user:hunter2hunter2@host", "leave the URL plain", {QUERY, ALERTS}),
        (
            "SENTRY_URL",
            "https://host/api/0/",
            "the API; did you mean 'https://host', without the path?",
            {QUERY, ALERTS},
        ),
        (
            "SENTRY_URL",
            "https://host/organizations/acme/issues/",
            "a page; did you mean 'https://host'",
            {QUERY, ALERTS},
        ),
        ("SENTRY_URL", "https://sentry.io/acme", "did you mean 'https://sentry.io'", {QUERY, ALERTS}),
        ("SENTRY_URL", "http://[bad", "the server's address", {QUERY, ALERTS}),
        ("SENTRY_SERVER", "sentinel", "'bugsink'", {QUERY, ALERTS}),
        ("SENTRY_SERVER", "glichtip", "did you mean 'glitchtip'?", {QUERY, ALERTS}),
        ("SENTRY_ORG", 0, "slug", {QUERY, ALERTS}),
        ("SENTRY_AUTH_TOKEN", "Bearer abc", "the token alone", {QUERY, ALERTS}),
        ("SENTRY_AUTH_TOKEN", "abc def", "a space", {QUERY, ALERTS}),
        ("SENTRY_ORG", "My Org", "slug", {QUERY, ALERTS}),
        ("SENTRY_PROJECTS", "web", "expected a tuple such as", {QUERY, ALERTS}),
        ("SENTRY_PROJECTS", [1], "tuple of strings", {QUERY, ALERTS}),
        ("SENTRY_ROOM_PROJECTS", {"#web": "web"}, "for '#web'", {QUERY, ALERTS}),
        ("SENTRY_ROOM_PROJECTS", [], "expected a dict", {QUERY, ALERTS}),
        ("SENTRY_WRITERS", "@bob", "expected a tuple", {QUERY, ALERTS}),
        ("SENTRY_AUTHOR_NOTES", 1, "True or False", {QUERY}),
        ("SENTRY_UNFURL", None, "True or False", {QUERY}),
        ("SENTRY_PATCH_ERRBOT", "False", "True or False", set()),
        ("SENTRY_ALERTS", {"rooms": []}, "list of routes", {ALERTS}),
        ("SENTRY_ALERTS", [{"match": []}], 'route 1: "rooms" is missing', {ALERTS}),
        ("SENTRY_ALERTS", [{"rooms": ["#a"]}, {"rooms": ["#a"], "matches": []}], "route 2: unknown key", {ALERTS}),
        ("SENTRY_ALERTS", [{"rooms": ["#a"], "match": ["levle=error"]}], "Fields: project", {ALERTS}),
        ("SENTRY_ALERTS", [{"rooms": ["#a"], "window": "soon"}], "\"window\": 'soon' isn't a valid duration", {ALERTS}),
        ("SENTRY_ALERTS", [{"rooms": ["#a"], "quiet": "22-7 Mars"}], "not a span such as", {ALERTS}),
        ("SENTRY_ALERTS", [{"rooms": ["#a"], "quiet": "22:00+01:00-07:00"}], "put the zone at the end", {ALERTS}),
        ("SENTRY_ALERTS", [{"rooms": ["#a"], "reasons": ["fresh"]}], "'fresh' is not one of", {ALERTS}),
        ("SENTRY_FALLBACK", {"urls": []}, "expected a list such as", set()),
        ("SENTRY_FALLBACK", ["mailto://u:hunter2hunter2@h"], "entry 1: expected a dict such as", set()),
        ("SENTRY_FALLBACK", [{"after": "5m"}], 'entry 1: "urls" is missing', set()),
        ("SENTRY_FALLBACK", [{"urls": "mailto://u:hunter2@h"}], "expected a list of Apprise's addresses", set()),
        ("SENTRY_FALLBACK", [{"urls": ["json://h", "hunter2"]}], '"urls": number 2 is not an address such as', set()),
        ("SENTRY_FALLBACK", [{"urls": ["json://h"], "match": ["levle=error"]}], "Fields: project", set()),
        ("SENTRY_FALLBACK", [{"urls": ["json://h"], "after": "soon"}], "isn't a valid duration", set()),
        ("SENTRY_FALLBACK", [{"urls": ["json://h"], "after": "0s"}], "the shortest span is 1s", set()),
        ("SENTRY_FALLBACK", [{"urls": ["json://h"], "afer": "1m"}], "did you mean 'after'?", set()),
        ("SENTRY_FALLBACK", [{"mailto://u:hunter2hunter2@h": "5m"}], "unknown key a string of", set()),
        ("SENTRY_WEBHOOK_SECRET", 5, "a string", {ALERTS}),
        ("SENTRY_WEBHOOK_TOKENS", "abc", "expected a tuple", {ALERTS}),
        ("SENTRY_ALERTS", ["hunter2"], "route 1: expected a dict such as", {ALERTS}),
        ("SENTRY_WEBHOOK_TOKENS", 5, 'expected a tuple such as ("a-long-random-word",), got an int', {ALERTS}),
        ("SENTRY_WEBHOOK_TOKENS", ("a/b",), "number 1 has characters other", {ALERTS}),
        ("SENTRY_WEBHOOK_LISTEN", ("127.0.0.1", "80"), "(host, port)", {ALERTS}),
        ("SENTRY_POLL_SECONDS", -5, "0 or more", {ALERTS}),
        ("SENTRY_POLL_SECONDS", 0.001, "1 or more seconds", {ALERTS}),
        ("SENTRY_PUBLIC_URL", "https://bot.example.com#x", "the address at which others reach the bot", {ALERTS}),
        ("SENTRY_PUBLIC_URL", "https:// bot.example.com", "the address at which others reach the bot", {ALERTS}),
        ("SENTRY_STATE_URL", "mysql://u:hunter2hunter2@h/d", "postgresql", {ALERTS}),
    ],
)
def test_a_wrong_value_is_named_and_switches_off_its_flows_only(name, value, part, flows):
    """Setting, what was found, what is wanted; the other flows run."""
    found = _read(**{name: value})
    assert [mistake.setting for mistake in found.mistakes] == [name]
    assert part in str(found.mistakes[0])
    assert {flow for flow in (REPORT, QUERY, ALERTS) if found.mistakes_of(flow)} == flows
    assert "hunter2" not in repr(found)


def test_all_mistakes_are_reported_together():
    """Nobody likes to restart the bot once per typo."""
    found = _read(SENTRY_DSN="x", SENTRY_URL=1, SENTRY_POLL_SECONDS="fast")
    assert {mistake.setting for mistake in found.mistakes} == {"SENTRY_DSN", "SENTRY_URL", "SENTRY_POLL_SECONDS"}


def test_reporting_without_a_dsn_is_a_mistake():
    """Otherwise the operator believes that errors are reported."""
    assert "is empty" in str(_read(BOT_LOG_SENTRY=True).mistakes[0])


def test_the_environment_wins_over_an_empty_secret_only():
    """What config.py says stays."""
    environ = {
        "SENTRY_DSN": DSN,
        "SENTRY_AUTH_TOKEN": "from-env",
        "SENTRY_WEBHOOK_TOKENS": "a1, b2",
        "SENTRY_ORG": "no",
    }
    found = _read(environ, SENTRY_AUTH_TOKEN="from-config")
    assert found.report.dsn.reveal() == DSN
    assert found.server.token.reveal() == "from-config"
    assert [token.reveal() for token in found.alerts.webhook_tokens] == ["a1", "b2"]
    assert found.server.org == ""


def test_a_typo_in_a_settings_name_is_pointed_out():
    """It would otherwise have no effect, silently."""
    found = _read(SENTRY_QZX="x", SENTRY_ALERT=[], SENTYR_URL="x", BOT_LOG_LEVEL=10, Sentry_x=1, SENTRY_TRANSPORT=())
    assert list(map(str, found.hints)) == [
        "SENTRY_ALERT is not a setting; did you mean SENTRY_ALERTS?",
        "SENTRY_QZX is not a setting and has no effect",
        "SENTYR_URL is not a setting; did you mean SENTRY_URL?",
    ]


def test_a_fallback_without_apprise_is_pointed_out(monkeypatch):
    """The package is optional."""
    settings = {"SENTRY_FALLBACK": [{"urls": ["mailto://u:hunter2@h"]}]}
    assert not _read(**settings).hints
    monkeypatch.setitem(sys.modules, "apprise", None)
    (hint,) = _read(**settings).hints
    assert "the package apprise is not installed; run pip install apprise" in str(hint)


def test_a_setting_in_the_environment_that_is_not_read_there_is_pointed_out():
    """Only secrets are; the SDK has names of its own there."""
    environ = {"SENTRY_ORG": "acme", "SENTRY_AUTH_TOKN": "x", "SENTRY_URL": "x", "SENTRY_RELEASE": "1", "PATH": "/bin"}
    found = _read(environ, SENTRY_URL="https://sentry.example.com")
    assert list(map(str, found.hints)) == [
        "SENTRY_AUTH_TOKN in the environment is not a setting; did you mean SENTRY_AUTH_TOKEN?",
        "SENTRY_ORG is not read from the environment; set it in config.py",
    ]


ROOMS = [
    # mode, room, the rooms that the bot joins, part of the sentence; "" where the room is fine
    ("irc", "ops", (), "'ops' is not a room's name on this chat network; did you mean '#ops'?"),
    ("irc", "@ops", (), "did you mean '#ops'?"),
    ("irc", "Ops", ("#ops-team", ("#ops", "password")), "did you mean '#ops'?"),
    ("irc", "#ops", (), ""),
    ("irc", "&local", (), ""),
    ("irc", "#ops,#dev", (), "expected one such as '#ops'"),
    ("irc", "#ops dev", (), "expected one such as '#ops'"),
    ("irc", "#ops:dev", (), ""),
    ("text", "ops", ("#ops",), "did you mean '#ops'?"),
    ("xmpp", "ops", ("ops@conf.example.com",), "did you mean 'ops@conf.example.com'?"),
    ("xmpp", "#ops", (), "expected one such as 'ops@conference.example.com'"),
    ("xmpp", "ops@conf.example.com", (), ""),
    ("xmpp", "ops@conf.example.com/ann", (), "expected one such as"),  # a person in the room
    ("telegram", "#ops", (), "expected one such as '-1001234567890'"),
    ("telegram", "-100123", (), ""),
    ("telegram", "-100123/45", (), ""),
    ("telegram", "-100123/1", (), "expected one such as"),  # the general topic: the group itself
    ("telegram", "@ops", (), "expected one such as"),
    ("slackv3", "@ops", (), "did you mean '#ops'?"),
    ("slackv3", "ops", (), ""),
    ("slackv3", "#ops, #dev", (), "expected one such as '#ops'"),
    ("mattermost", "ops,dev", (), "expected one such as '~ops'"),
    ("matrix", "#a:example.com,#b:example.com", (), "expected one such as '#ops:example.com'"),
    ("matrix", "#a:example.com:8448", (), ""),
    ("slackv3", "<#C0123>", (), ""),
    ("mattermost", "~ops now", (), "expected one such as '~ops'"),
    ("mattermost", "ops", (), ""),
    ("mattermost", "~ops", (), ""),
    ("discord", "ops", (), "did you mean '#ops'?"),
    ("discord", "<#123456789012345678>", (), ""),
    ("matrix", "#ops", (), "expected one such as '#ops:example.com'"),
    ("matrix", "!aBc:example.com", (), ""),
    ("zulip", "ops", (), ""),
]


@pytest.mark.parametrize(("mode", "room", "joined", "part"), ROOMS)
def test_a_room_that_is_none_on_this_network_is_refused_at_the_start(mode, room, joined, part):
    """On IRC its alerts went to the person of that name, or nowhere, and status called it ok."""
    routes = [{"rooms": ["#ops"]}] if mode in ("irc", "text") else []
    found = _read(mode=mode, CHATROOM_PRESENCE=joined, SENTRY_ALERTS=[*routes, {"rooms": [room]}])
    assert [str(mistake) for mistake in found.mistakes_of(ALERTS)] == [str(mistake) for mistake in found.mistakes]
    if part:
        (mistake,) = found.mistakes
        assert part in str(mistake)
        assert f"route {len(routes) + 1}: " in str(mistake)
    else:
        assert not found.mistakes


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("ops", "did you mean '#ops'?"),
        ("Direct", "did you mean 'direct', in lower case?"),
        ("#ops", ""),
        ("*", ""),
        ("[#&]ops", ""),
    ],
)
def test_a_room_of_the_room_projects_that_matches_nothing_is_pointed_out(key, hint):
    """As soon as one room is named, all others see nothing: with a wrong name, nobody sees anything."""
    found = _read(mode="irc", SENTRY_ROOM_PROJECTS={key: ["*"]})
    assert [hint in str(each) for each in found.hints] == [True] * bool(hint)


@pytest.mark.parametrize(
    ("url", "dsn", "token", "mistake", "hint"),
    [
        (None, DSN, "t0ken", "did you mean 'https://sentry.example.com'?", ""),
        ("https://sentry.io", DSN, "t0ken", "", "did you mean 'https://sentry.example.com'?"),
        ("https://errors.example.com", DSN, "t0ken", "", ""),  # two servers, as the operator says
        ("https://sentry.example.com", DSN, "t0ken", "", ""),
        ("https://sentry.example.com/e", DSN, "t0ken", "", "did you mean 'https://sentry.example.com'?"),
        ("http://host:8000", "http://key@host:8000/errors/1", "t0ken", "", "did you mean 'http://host:8000/errors'?"),
        (None, DSN, "", "", ""),  # no commands, so no server is missing
        (None, "", "t0ken", "", ""),
        (None, "https://0123456789abcdef@o447951.ingest.us.sentry.io/1", "t0ken", "", ""),
    ],
)
def test_a_forgotten_server_is_pointed_out(url, dsn, token, mistake, hint):
    """The token of a server of one's own must not go to sentry.io."""
    values = {"SENTRY_DSN": dsn, "SENTRY_AUTH_TOKEN": token, **({"SENTRY_URL": url} if url else {})}
    found = _read(**values)
    assert [mistake in str(each) for each in found.mistakes_of(QUERY)] == [True] * bool(mistake)
    assert [hint in str(each) for each in found.hints] == [True] * bool(hint)
    assert found.mistakes_of(QUERY) == found.mistakes_of(ALERTS)
    assert "0123456789abcdef" not in str(found)


def test_projects_that_match_nothing_are_found_once_the_servers_are_known():
    """Each setting with a glob of projects; the near match is for admins where projects are hidden from some rooms."""
    slugs = ("web-shop", "api")

    def hints(**values):
        found = _read(**values)
        return [(hint.sentence, hint.detail) for hint in unmatched_projects(found.access, found.alerts.routes, slugs)]

    routes = [
        {"rooms": ["#a"], "match": ["project=wep-shop"]},
        {"rooms": ["#a"], "match": ["project!=x", "level=error"]},
    ]
    assert hints(SENTRY_PROJECTS=("WEB-*",), SENTRY_ROOM_PROJECTS={"#a": ["api"], "direct": ["*"]}) == []
    sentence = "SENTRY_ALERTS, route 1: no project of the server matches 'wep-shop'"
    assert hints(SENTRY_ALERTS=routes) == [(f"{sentence}; did you mean 'web-shop'?", "")]
    assert hints(SENTRY_ROOM_PROJECTS={"#a": ["apii", "api"]}, SENTRY_ALERTS=routes) == [
        ("SENTRY_ROOM_PROJECTS, #a: no project of the server matches 'apii'", "; did you mean 'api'?"),
        (sentence, "; did you mean 'web-shop'?"),
    ]


def test_no_secret_is_shown_by_any_way_of_printing():
    """repr, str, format and the mistakes show four characters at most."""
    secrets = {
        "SENTRY_DSN": DSN,
        "SENTRY_URL": "https://sentry.example.com",
        "SENTRY_AUTH_TOKEN": "sntryu_0123456789abcdefWXYZ",
        "SENTRY_WEBHOOK_SECRET": ("oldsecret0123456789", "newsecret0123456789"),
        "SENTRY_WEBHOOK_TOKENS": ("pathsecret0123456789",),
        "SENTRY_STATE_URL": "postgresql://bot:dbpassword@db/bot",
    }
    found = _read(**secrets)
    assert not found.mistakes
    shown = repr(found) + str(found) + f"{found.report.dsn} {found.server.token!r} {found.state_url}"
    for part in ("0123456789abcdef0", "sntryu_", "oldsecret", "newsecret", "pathsecret", "dbpassword"):
        assert part not in shown
    assert "WXYZ" in shown


def test_a_route_is_read_whole():
    """The example of the design."""
    raw = {
        "rooms": ["#ops"],
        "match": ["project=web-*", "level>=error", "environment=production", "tag.customer=acme"],
        "reasons": ["new", "regressed", "escalating", "rule", "metric"],
        "mention": "@oncall",
        "threads": "thread",
        "wait": "0s",
        "window": "5m",
        "repeat": "4h",
        "quiet": "22:00-07:00 Europe/Paris",
        "continue": False,
    }
    route = _read(SENTRY_ALERTS=[raw]).alerts.routes[0]
    assert [str(matcher) for matcher in route.matchers] == raw["match"]
    assert (route.wait, route.window, route.repeat) == (timedelta(0), timedelta(minutes=5), timedelta(hours=4))
    assert route.quiet is not None
    assert str(route.quiet.zone) == "Europe/Paris"


def test_a_wrong_mention_names_the_route_the_key_and_what_is_wanted():
    found = _read(SENTRY_ALERTS=[{"rooms": ["#a"], "mention": {"teams": {"backend": None}}}])
    (mistake,) = found.mistakes
    assert str(mistake) == (
        'SENTRY_ALERTS: route 1: "mention": "teams": for \'backend\': None is not a string of one line'
    )


def test_the_template_is_a_whole_configuration_and_shows_every_setting(tmp_path):
    """config_template.py loads, has every setting with its default, and no mistake."""
    path = tmp_path / "config.py"
    path.write_text((ROOT / "config_template.py").read_text())
    loaded = runpy.run_path(str(path))
    assert not [name for name in NAMES if name not in loaded]
    found = read_settings(SimpleNamespace(**loaded), {})
    assert not found.mistakes
    assert not found.hints
    bare = read_settings(SimpleNamespace(BOT_ADMINS=loaded["BOT_ADMINS"], BOT_DATA_DIR=loaded["BOT_DATA_DIR"]), {})
    assert found == bare, "the template's values are the defaults"


def test_the_template_says_of_every_setting_what_the_table_says():
    """In the comment above it, which may say more."""
    source = (ROOT / "config_template.py").read_text()
    lines = source.splitlines()
    place = {
        getattr(node.targets[0], "id", ""): node.lineno - 1
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign)
    }
    for setting in SETTINGS:
        above = itertools.takewhile(lambda line: line.startswith("#"), reversed(lines[: place[setting.name]]))
        comment = " ".join(reversed([line[1:].strip() for line in above]))
        assert setting.sentence in comment, setting.name


def test_secrets_of_this_process_are_not_needed():
    """The tests pass their own environment; nothing reads os.environ behind our back."""
    os.environ["SENTRY_AUTH_TOKEN"] = "leaked"
    try:
        assert not _read().server.token
    finally:
        del os.environ["SENTRY_AUTH_TOKEN"]


@pytest.mark.parametrize(
    "password", ["a/b", "a#b", "a?b", "o@pen/sesame", "o@sesame", "12/sesame", "12?se@same", "@sesame", "sesame@"]
)
def test_a_password_that_breaks_its_url_is_reported_with_the_way_to_write_it(password):
    """Else it fails later, in the database library, which quotes a part of the password."""
    found = _read(SENTRY_STATE_URL=f"postgresql://bot:{password}@db/state")
    (mistake,) = found.mistakes
    assert "%2F" in str(mistake)
    assert password not in str(mistake)
    assert "same" not in str(mistake)
    for fine in ("postgresql://db/state", "postgresql://bot@db/state?sslmode=require", "sqlite:////data/a@b@c/state"):
        assert not _read(SENTRY_STATE_URL=fine).mistakes


PASTED = (
    "sntryu_" + "0a1b2c3d" * 8,
    "sntrys_eyJpYXQiOjE3NjAwMDAwMDAuMCwidXJsIjoiaHR0cHM6Ly9zZW50cnkuaW8ifQ==_Zm9vYmFyYmF6cXV4cXV1eGNvcmdl",
    "9f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c",  # Bugsink's
    "c0ffee" * 10 + "beef",  # GlitchTip's
    "Vw3kT9_xQ2-mZ8rL5nB7cY1pD4sF6hJ0",  # secrets.token_urlsafe
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
    "5e1d4c1e-0000-4000-8000-000000000001",
    "https://0123456789abcdef0123456789abcdef@sentry.example.com/1",
    "https://sentry.example.com/sntryu_" + "0a1b2c3d" * 8,
    "https://9f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c",
    "Bearer 9f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c",
    "xoxb-123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx",
)
WORDS = ("correct horse battery staple", "Tr0ub4dor&3 in one text")  # nothing distinguishes these from other words
_FORMS = {
    "text": lambda value: value,
    "list": lambda value: [value],
    "number of them": lambda value: (value, 5),
    "dict": lambda value: {value: value},
    "listen": lambda value: (value, "3142"),
    "listen there": lambda value: (value, 3142),
    "route": lambda value: [value],
    "rooms": lambda value: [{"rooms": [value]}],
    "project": lambda value: [{"rooms": ["#a"], "match": [f"project={value}"]}],
    "room": lambda value: [{"rooms": [value], "window": value, value: 1}],
    "window": lambda value: [{"rooms": ["#a"], "window": value}],
    "match": lambda value: [{"rooms": ["#a"], "match": [value, f"{value}=x", f"project=~({value}"]}],
    "matcher": lambda value: [{"rooms": ["#a"], "match": [f"level>={value}"]}],
    "mention": lambda value: [{"rooms": ["#a"], "mention": {"teams": {value: [value]}}}],
    "quiet": lambda value: [{"rooms": ["#a"], "quiet": value}],
    "reasons": lambda value: [{"rooms": ["#a"], "reasons": [value]}],
    "threads": lambda value: [{"rooms": ["#a"], "threads": {value}}],
}


@pytest.mark.parametrize("name", NAMES)
def test_a_secret_in_any_setting_is_never_quoted(name):
    """What is pasted into the wrong setting would be read by everybody who reads the status."""
    for pasted, form in itertools.product(PASTED, _FORMS if name == "SENTRY_ALERTS" else list(_FORMS)[:6]):
        found = _read(mode="irc", **{name: _FORMS[form](pasted)})
        shown = " ".join(map(str, (*found.mistakes, *found.hints))) + found.server.url + found.server.org
        assert not _shows(pasted, shown + str(found.alerts.listen)), form


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize(
    "name", ["SENTRY_URL", "SENTRY_ORG", "SENTRY_SERVER", "SENTRY_CHAT_TEXT", "SENTRY_PROJECTS", "SENTRY_STATE_URL",
             "SENTRY_LOGLEVEL", "SENTRY_DSN", "SENTRY_WRITERS", "SENTRY_WEBHOOK_LISTEN", "SENTRY_ROOM_PROJECTS"],
)  # fmt: skip
def test_no_text_is_quoted_where_a_token_could_be_pasted(name, words):
    (mistake,) = _read(**{name: words}).mistakes
    assert not _shows(words, str(mistake))


def _shows(secret, text):
    """Whether more of it than its last four characters stands in the text."""
    parts = [
        part for part in re.split(r"https://|@sentry.example.com|sentry.example.com/|[ .]", secret) if len(part) > 7
    ]
    return any(part[start : start + 8] in text for part in parts for start in range(len(part) - 7))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SENTRY_URL", "https://internal-sentry-1234567890.us-east-1.elb.amazonaws.com"),
        ("SENTRY_URL", "http://sentry_web:9000/errors-2026"),
        ("SENTRY_URL", "https://o447951.sentry.io"),
        ("SENTRY_ORG", "acme-2026-frontend-services"[:24]),
        ("SENTRY_ORG", "a-very-long-organization-name"),
        ("SENTRY_WEBHOOK_LISTEN", ("2001:db8:85a3::8a2e:370:7334", 3142)),
    ],
)
def test_ordinary_names_are_not_taken_for_tokens(name, value):
    assert not _read(**{name: value}).mistakes


@pytest.mark.parametrize("host", ["no such host", "\0", "a" * 300, "é" * 70])
def test_an_impossible_host_is_a_mistake_and_no_crash(host):
    """The socket library raises a TypeError for some, which kept every flow from starting."""
    assert [mistake.setting for mistake in _read(SENTRY_WEBHOOK_LISTEN=(host, 80)).mistakes] == [
        "SENTRY_WEBHOOK_LISTEN"
    ]


def test_options_that_the_sdk_takes_are_not_refused():
    """It is the SDK that decides what works; only what would lose events, or mean something else, is refused."""
    options = {
        "in_app_exclude": ("shop",),
        "in_app_include": None,
        "ignore_errors": [KeyError, "ValueError", (OSError, TypeError)],
        "event_scrubber": SimpleNamespace(scrub_event=print),
        "project_root": None,
        "before_send": print,
        "before_breadcrumb": None,
        "sample_rate": 1,
        "traces_sample_rate": 0.5,
        "max_value_length": None,
        "release": "bot@1",
        "attach_stacktrace": 1,
    }
    found = _read(SENTRY_OPTIONS=options)
    assert not found.mistakes
    assert found.report.options == options


OPS = {"rooms": ["#ops"]}
TAKEN = 'route 1 takes all of its alerts; set "continue": True in route 1, or put route 2 in front'


@pytest.mark.parametrize(
    ("routes", "hint"),
    [
        ([OPS, {"rooms": ["#dev"]}], f"route 2 brings nothing: {TAKEN}"),
        ([OPS, {"rooms": ["#dev"], "match": ["level=fatal"], "quiet": "22:00-07:00"}], TAKEN),
        (
            [{**OPS, "match": ["level=error"]}, {"rooms": ["#dev"], "match": ["project=web", "level=error"]}],
            TAKEN,
        ),
        ([{**OPS, "continue": True}, {"rooms": ["#dev"]}], ""),
        ([OPS, {"rooms": ["#dev"], "reasons": ["new", "resolved"]}], ""),
        ([{**OPS, "match": ["level=error"]}, {"rooms": ["#dev"]}], ""),
        ([OPS, {**OPS, "match": ["level=debug"], "quiet": "22:00-07:00"}], ""),
        ([{**OPS, "reasons": []}], 'route 1 brings nothing: its "reasons" are empty'),
        ([{**OPS, "match": ["reason=resolved"]}], '"match" asks for a reason that is not in its "reasons"'),
        ([{**OPS, "match": ["reason=nwe"]}], '"match" asks for a reason that is not in its "reasons"'),
        ([{**OPS, "match": ["reason=resolved"], "reasons": ["resolved"]}], ""),
        ([{**OPS, "match": ["reason=re*"]}], ""),
    ],
)
def test_a_route_that_brings_nothing_is_hinted_at(routes, hint):
    """An operator wrote one route for each of two rooms. The second room never got anything, and nothing said why."""
    found = _read(SENTRY_ALERTS=routes)
    assert not found.mistakes
    assert [hint in str(each) for each in found.hints] == [True] * bool(hint)


def test_a_room_of_a_route_that_may_see_no_project_is_hinted_at():
    """Once SENTRY_ROOM_PROJECTS names a room, those that it does not name see nothing."""
    routes = [{"rooms": ["#ops", "#web", "#dev"]}]
    found = _read(SENTRY_ALERTS=routes, SENTRY_ROOM_PROJECTS={"<#C1>": ["web"], "#d*": ["*"], "#ops": []})
    assert not found.hints
    named = found.with_rooms(lambda name: {"<#C1>": "#web"}.get(name, name))
    sentence = "SENTRY_ALERTS, route 1: '#ops' gets nothing, because SENTRY_ROOM_PROJECTS shows it no project"
    assert list(map(str, named.hints)) == [sentence]
    assert not _read(SENTRY_ALERTS=routes).with_rooms(str).hints


@pytest.mark.parametrize("name", ["SENTRY_WEBHOOK_TOKENS", "SENTRY_WEBHOOK_SECRET"])
def test_a_webhooks_secret_that_can_be_guessed_is_hinted_at(name):
    """Whoever knows it can post alerts."""
    (hint,) = _read(**{name: ("a-long-random-word", "abc")}).hints
    assert hint.sentence == f"{name}: use a long random word"
    assert hint.detail == " of 16 characters or more: whoever guesses it can send alerts"
    assert not _read(**{name: ("a-long-random-word", "another-random-word")}).hints
