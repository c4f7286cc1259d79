"""The launchers that other tests start real servers with."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from demo.bugsink import LOGIN, PASSWORD, Bugsink, Refused
from demo.processes import CannotStart, Process, accepts
from tests.fakes.http_server import HttpServer, Reply, Request
from tests.servers.bugsink import BugsinkProject
from tests.servers.errbot_process import ErrbotProcess, irc_settings
from tests.servers.irc_client import IrcClient, parse
from tests.servers.ngircd import Ngircd
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z"


# --- waiting -------------------------------------------------------------------------------------------------------


def test_until_returns_what_the_condition_gave() -> None:
    answers = iter([0, "", [], "there"])
    assert until(lambda: next(answers), every=0) == "there"


def test_until_says_what_it_waited_for_and_what_it_saw() -> None:
    with pytest.raises(AssertionError, match=r"waited 0 s in vain for: two rows \(last seen: \[\]\)"):
        until(list, 0, "two rows")


# --- processes -----------------------------------------------------------------------------------------------------


def test_a_server_that_ends_early_shows_the_end_of_its_log(tmp_path: Path) -> None:
    process = Process(["sh", "-c", "echo no such database; exit 3"], tmp_path / "log")
    with pytest.raises(CannotStart, match=r"(?s)code 3 before it serves.*no such database"):
        process.wait_until(lambda: False, 10, "it serves")
    assert process.kill() == 3


def test_stop_kills_the_whole_group_of_a_server_that_does_not_listen(tmp_path: Path) -> None:
    process = Process(["sh", "-c", "trap '' TERM; (sleep 1000) & echo $!; wait; sleep 1000"], tmp_path / "log")
    child = int(process.wait_until(lambda: process.log.read_text().strip(), 10, "it prints its child"))
    assert process.stop(timeout=0.1) == -signal.SIGKILL
    until(lambda: gone(child), what=f"process {child} is gone")


def test_a_server_does_not_outlive_a_starter_that_is_killed(tmp_path: Path) -> None:
    starter_code = (
        "import signal, sys; from pathlib import Path; from demo.processes import Process\n"
        "print(Process(['sleep', '1000'], Path(sys.argv[1])).pid, flush=True); signal.pause()"
    )
    starter = subprocess.Popen([sys.executable, "-c", starter_code, tmp_path / "log"], cwd=ROOT, stdout=subprocess.PIPE)
    with starter:
        assert starter.stdout is not None
        server = int(starter.stdout.readline())
        assert not gone(server)
        starter.kill()
    until(lambda: gone(server), what=f"process {server} is gone")


# --- Bugsink -------------------------------------------------------------------------------------------------------


@pytest.fixture
def receiver(bugsink: Bugsink) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Receives alerts, and requests each issue from the server's API before it answers."""
    taken: list[dict[str, Any]] = []

    def take(request: Request) -> Reply:
        issue = bugsink.api("GET", f"issues/{request.json['id']}/")
        taken.append({**request.json, "asked": issue["friendly_id"]})
        return Reply(202)

    with HttpServer(take) as server:
        yield f"{server.url}/hook", taken


def test_an_event_becomes_an_issue_of_its_own_project(bugsink_project: BugsinkProject) -> None:
    event_id = bugsink_project.send_event("KeyError", "'basket'")
    bugsink_project.send_event("KeyError", "'basket'")
    (issue,) = bugsink_project.issues()
    assert (issue["calculated_type"], issue["digested_event_count"]) == ("KeyError", 2)
    assert bugsink_project.issue(issue["friendly_id"])["id"] == issue["id"]
    newest, oldest = bugsink_project.events(issue["id"])
    assert oldest["data"]["event_id"] == event_id
    assert newest["data"]["exception"]["values"][0]["stacktrace"]["frames"][-1]["vars"] == {"basket": "[]"}
    bugsink_project.api("POST", "issue-comments/", {"issue": issue["id"], "comment": "seen"})
    assert bugsink_project.comments(issue["id"]) == ["seen"]


def test_an_alert_is_posted_and_its_taker_may_ask_the_api_meanwhile(
    bugsink_project: BugsinkProject, receiver: tuple[str, list[dict[str, Any]]]
) -> None:
    url, taken = receiver
    bugsink_project.add_alert(url)
    bugsink_project.send_event("OSError", "disk")
    (alert,) = taken  # tasks are eager: it was posted before the event's own request ended
    assert (alert["alert_reason"], alert["title"], alert["asked"]) == ("NEW", "OSError: disk", alert["friendly_id"])
    assert alert["url"].startswith(bugsink_project.url + "/issues/issue/")
    assert bugsink_project.last_alert_failure() is None


def test_a_failed_alert_can_be_read(bugsink_project: BugsinkProject) -> None:
    bugsink_project.add_alert("http://127.0.0.1:1/nobody")
    bugsink_project.send_event()
    assert "ConnectionError" in (bugsink_project.last_alert_failure() or "")


def test_a_stopped_server_comes_back_on_its_port_with_its_data(bugsink_project: BugsinkProject) -> None:
    server = bugsink_project.server
    bugsink_project.send_event()
    url = server.url
    server.kill()
    assert not accepts(server.port)
    server.start()
    assert server.url == url
    assert len(bugsink_project.issues()) == 1


def test_a_person_logs_in_and_sees_the_issue_where_we_say(bugsink_project: BugsinkProject) -> None:
    bugsink_project.send_event("ValueError", "look at me")
    (issue,) = bugsink_project.issues()
    browser = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor())
    with browser.open(bugsink_project.server.issue_page(issue["id"])) as login:
        address, form = login.geturl(), login.read().decode()
    (csrf,) = set(re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', form))
    filled = urlencode({"csrfmiddlewaretoken": csrf, "username": LOGIN, "password": PASSWORD}).encode()
    with browser.open(urllib.request.Request(address, filled, {"Referer": address})) as page:
        assert page.geturl() == bugsink_project.server.issue_page(issue["id"])
        assert "look at me" in page.read().decode()


def test_a_refusal_carries_its_status(bugsink_project: BugsinkProject) -> None:
    with pytest.raises(Refused, match="HTTP 404") as refusal:
        bugsink_project.issue("NONE-1")
    assert refusal.value.status == 404


# --- IRC -----------------------------------------------------------------------------------------------------------


def test_two_people_talk_without_a_flood_brake(ngircd: Ngircd) -> None:
    with IrcClient(ngircd.host, ngircd.port, "alice") as alice, IrcClient(ngircd.host, ngircd.port, "bob") as bob:
        alice.join("#ops")
        bob.join("#ops")
        alice.wait_for_join("bob", "#ops")
        assert alice.names("#ops") == {"alice", "bob"}
        for number in range(100):
            bob.say("#ops", f"line {number} : é🔥")
        alice.wait_for("^line 99 ", target="#ops", sender="bob")
        assert alice.texts("#ops") == [f"line {number} : é🔥" for number in range(100)]
        bob.say("alice", "in private")
        assert alice.wait_for("private").target == "alice"
        times = [line.at for line in alice.lines()]
        assert times == sorted(times)
        with pytest.raises(AssertionError, match=r"(?s)waited for a line like 'never'.*in private"):
            alice.wait_for("never", timeout=0)


def test_a_killed_irc_server_comes_back_on_its_port(ngircd: Ngircd) -> None:
    with IrcClient(ngircd.host, ngircd.port) as alice:
        ngircd.kill()
        until(lambda: not alice.connected, what="the client sees the end of its connection")
        assert not accepts(ngircd.port)
        ngircd.restart()
        with IrcClient(ngircd.host, ngircd.port) as again:
            again.join("#ops")


@pytest.mark.parametrize(
    ("raw", "sender", "command", "target", "text"),
    [
        (b":bob!~b@host PRIVMSG #ops :a: b", "bob", "PRIVMSG", "#ops", "a: b"),
        (b":bob!~b@host PRIVMSG #ops word", "bob", "PRIVMSG", "#ops", "word"),
        (b":bob!~b@host JOIN :#ops", "bob", "JOIN", "#ops", "#ops"),
        (b"PING :irc.test", "", "PING", "", "irc.test"),
        (b":s 366 alice #ops :End", "s", "366", "alice", "#ops :End"),
        (b":bob!~b@host PRIVMSG #ops :\xff\x02bold\x02", "bob", "PRIVMSG", "#ops", "�\x02bold\x02"),
    ],
)
def test_lines_are_taken_apart(raw: bytes, sender: str, command: str, target: str, text: str) -> None:
    line = parse(raw, 1.0)
    assert line is not None
    assert (line.sender, line.command, line.target, line.text, line.at) == (sender, command, target, text, 1.0)


# --- Errbot --------------------------------------------------------------------------------------------------------


def test_errbot_on_the_text_backend_answers_and_ends_in_order(tmp_path: Path) -> None:
    with ErrbotProcess(tmp_path, []) as bot:
        bot.ask("!echo hello there", r"hello there")
        assert "Plugin activation done." in bot.log
        assert bot.stop() == 0
    assert "Process exiting" in bot.log
    assert not bot.running


def test_a_killed_errbot_starts_again(tmp_path: Path) -> None:
    with ErrbotProcess(tmp_path, []) as bot:
        pid = bot.pid
        bot.kill9()
        assert gone(pid)
        bot.start()
        bot.ask("!echo again", "again")


def test_errbot_on_irc_answers_in_its_room(tmp_path: Path, ngircd: Ngircd) -> None:
    with IrcClient(ngircd.host, ngircd.port, "alice") as alice:
        alice.join("#ops")
        with ErrbotProcess(tmp_path, [], irc_settings(ngircd.port)) as bot:
            alice.wait_for_join("errbot", "#ops")
            alice.say("#ops", "!echo on IRC")
            alice.wait_for("on IRC", sender="errbot", target="#ops")
            assert bot.stop() == 0


def test_an_errbot_that_cannot_start_shows_why(tmp_path: Path) -> None:
    bot = ErrbotProcess(tmp_path, [], {"BACKEND": "NoSuchBackend"})
    with pytest.raises(AssertionError, match="before there was"):
        bot.start()
    assert "NoSuchBackend" in bot.output
    bot.stop()


def test_a_setting_that_repr_cannot_carry_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="SENTRY_OPTIONS cannot be written"):
        ErrbotProcess(tmp_path, [], {"SENTRY_OPTIONS": {"before_send": print}})
