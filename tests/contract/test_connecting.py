"""Finding out what answers at SENTRY_URL, and what is said when nothing of ours does."""

from __future__ import annotations

import threading

import pytest

from errbot_sentry.config.secrets import Secret
from errbot_sentry.config.settings import ServerSettings
from errbot_sentry.domain.errors import (
    BadAnswer,
    BadQuery,
    BadToken,
    NotFound,
    RedirectRefused,
    ServerError,
    Unreachable,
)
from errbot_sentry.domain.issues import IssueQuery
from errbot_sentry.server import sentry, sentry_api
from errbot_sentry.server.connection import Connection
from errbot_sentry.server.protocol import BUGSINK, GLITCHTIP, SENTRY
from tests.clocks import ShiftedClock
from tests.fakes import openapi
from tests.fakes.http_server import HttpServer, Reply, as_html, as_json

PROBES = {SENTRY: 1, GLITCHTIP: 1, BUGSINK: 1}


def test_the_kind_is_found_out_once(on):
    """By one request; the result is kept."""
    assert on.server.kind == on.kind
    assert len(on.exchanges) == PROBES[on.kind]
    assert on.connect().health().kind == "auto"
    assert on.server.kind == on.kind
    assert len(on.exchanges) == PROBES[on.kind]


def test_a_bugsink_with_an_organization_set_is_still_found(on_bugsink):
    """It poses as Sentry at /api/0/; one request more."""
    assert on_bugsink.connect(org="acme").server().kind == BUGSINK
    assert len(on_bugsink.exchanges) == 2


def test_a_named_kind_asks_nothing(on):
    """SENTRY_SERVER."""
    server = on.connect(kind=on.kind).server()
    assert server.kind == on.kind
    assert on.exchanges == []


def test_a_wrong_token(on):
    """Said at the first question, whatever the kind setting."""
    wrong = Secret("0" * 40)
    with pytest.raises(BadToken, match="check SENTRY_AUTH_TOKEN"):
        on.connect(token=wrong).server()
    with pytest.raises(BadToken, match="check SENTRY_AUTH_TOKEN"):
        on.connect(token=wrong, kind=on.kind).server().issues(IssueQuery())


def test_a_wrong_organization(on):
    """Named in the sentence; Bugsink has none."""
    if on.kind == BUGSINK:
        return
    with pytest.raises(NotFound, match="organization nobody"):
        on.connect(org="nobody").server().issues(IssueQuery())


def test_a_missing_token_or_organization_is_said_before_anything_is_asked(on):
    """The sentence names the setting."""
    with pytest.raises(BadToken, match="SENTRY_AUTH_TOKEN is not set"):
        on.connect(token=Secret("")).server()
    if on.kind != BUGSINK:
        with pytest.raises(BadQuery, match="SENTRY_ORG is not set"):
            on.connect(org="", kind=on.kind).server()
    assert on.exchanges == []


def test_sentry_io_is_known_without_asking():
    """Its regions and the hosts of organizations too."""
    for url in ("https://sentry.io", "https://de.sentry.io", "https://acme.sentry.io"):
        assert Connection(ServerSettings(url, "auto", Secret("x" * 40), "acme")).server().kind == SENTRY


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (as_html(), BadAnswer),
        (as_html("<h1>Not Found</h1>", 404), BadAnswer),
        (as_json({"hello": "world"}), BadAnswer),
        (as_json(["what"]), BadAnswer),
        (as_json({"version": "0", "auth": "yes", "user": 7}), BadToken),
        (Reply(302, headers={"Location": "https://sso.example/"}), RedirectRefused),
    ],
)
def test_something_else_at_the_address(answer, error):
    """A web site, another API, a sign-on: the sentence says which setting to look at."""
    for org in ("acme", ""):
        with HttpServer(lambda request: answer) as server:
            connection = Connection(ServerSettings(server.url, "auto", Secret("x" * 40), org))
            with pytest.raises(error, match="SENTRY_"):
                connection.server()


def test_a_failure_holds_for_some_seconds_and_is_then_tried_again():
    """A command storm against a dead server is one question; when it is back, it is found."""
    clock = ShiftedClock()
    with HttpServer(lambda request: as_html("down", 500)) as server:
        connection = Connection(ServerSettings(server.url, "auto", Secret("x" * 40), "acme"), clock)
        for _ in range(5):
            with pytest.raises(ServerError, match="failed on its side"):
                connection.server()
        assert len(server.requests) == 1
        server.answer = lambda request: as_json({"version": "0", "auth": {"scopes": []}, "user": {"id": "1"}})
        clock.ahead += 6
        assert connection.server().kind == SENTRY


def test_many_threads_ask_once(on):
    """The first command and the first poll come at the same time."""
    connection = on.connect()
    found = []
    threads = [threading.Thread(target=lambda: found.append(connection.server())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(server) for server in found}) == 1
    assert len(found) == 8
    assert len(on.exchanges) == PROBES[on.kind]


def test_a_closed_connection_says_so(on):
    """The plugin is stopping."""
    connection = on.connect()
    server = connection.server()
    connection.close()
    with pytest.raises(Unreachable, match="the plugin is stopping"):
        server.issues(IssueQuery())


def test_the_description_of_sentrys_api_is_there_to_judge(request):
    """Each request and answer of the stand-in for Sentry is checked against it; without the file, that is not done."""
    if not openapi.is_there():
        pytest.skip("../shared/sentry-openapi.json is not here: requests to Sentry are not checked against it")
    on, world = request.getfixturevalue("sentry")
    on.server.issues(IssueQuery())
    assert world.server.checked > 0
    with pytest.raises(openapi.Deviation, match="no parameter"):
        openapi.check_request("GET", "/api/0/organizations/acme/issues/", (("sortBy", "x"),), None)
    with pytest.raises(openapi.Deviation, match="sort"):
        openapi.check_request("GET", "/api/0/organizations/acme/issues/", (("sort", "last_seen"),), None)
    with pytest.raises(openapi.Deviation, match="status"):
        openapi.check_request("PUT", "/api/0/organizations/acme/issues/1/", (), {"status": "done"})
    with pytest.raises(openapi.Deviation):
        openapi.check_request("PUT", "/api/0/organizations/acme/issues/1/", (), {"statusDetails": {"in": 1}})
    with pytest.raises(openapi.Deviation, match="no such path"):
        openapi.check_request("GET", "/api/0/organizations/acme/isues/", (), None)
    with pytest.raises(openapi.Deviation):
        openapi.check_answer("GET", "/api/0/organizations/acme/issues/", 200, [{"id": "1"}])


def test_every_path_of_the_dialect_is_described_or_has_its_source():
    """What the description lacks is listed with where it is known from."""
    if not openapi.is_there():
        pytest.skip("../shared/sentry-openapi.json is not here")
    paths = {
        value for module in (sentry, sentry_api) for value in vars(module).values() if str(value).startswith("/api/")
    }
    assert len(paths) > 8
    for path in paths:
        openapi.template_of(path.replace("{", "").replace("}", ""))
    assert all(" " in source for source in openapi.UNDESCRIBED.values())
