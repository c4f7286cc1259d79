"""What a person sees on a real Bugsink."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.servers.bugsink import BugsinkProject
from tests.system.report_bot import crash_bot, wait_until_sent
from tests.waiting import until


def server_of(project: BugsinkProject) -> Any:
    """What crash_bot wants of a server."""
    return SimpleNamespace(dsn=project.dsn)


def test_fifty_runs_with_other_words_are_one_issue_with_a_telling_title(
    bugsink_project: BugsinkProject, tmp_path: Path
) -> None:
    with crash_bot(tmp_path, server_of(bugsink_project), SENTRY_REPEAT_SECONDS=0) as bot:
        for number in range(50):
            bot.say(f"!crash plain {number} with words of its own x{number}y")
        bot.say("!crash arg somebody")
        wait_until_sent(bot.reporter)
    issues = until(
        lambda: len(found := bugsink_project.issues()) == 2 and found, timeout=60, what="two issues on Bugsink"
    )
    by_type = {issue["calculated_type"]: issue for issue in issues}
    division = by_type["ZeroDivisionError"]
    until(
        lambda: bugsink_project.issue(division["id"])["digested_event_count"] == 50,
        timeout=60,
        what="fifty events of one issue",
    )
    assert division["calculated_value"] == "division by zero"
    assert division["transaction"] == "crash_plain"
    assert by_type["LookupError"]["calculated_value"] == "in an arg_botcmd"
    event = bugsink_project.events(by_type["LookupError"]["id"])[0]["data"]
    frame = event["exception"]["values"][-1]["stacktrace"]["frames"][-1]
    assert frame["function"] == "crash_arg"
    assert frame["vars"]["self"] == "<Crash>"
    assert event["tags"]["bot.command"] == "crash_arg"
    assert event["user"]["id"]


def test_the_count_of_a_storm_joins_the_issue(bugsink_project: BugsinkProject, tmp_path: Path) -> None:
    with crash_bot(tmp_path, server_of(bugsink_project), SENTRY_REPEAT_SECONDS=3600) as bot:
        for _ in range(5):
            bot.say("!crash plain")
        wait_until_sent(bot.reporter)
    issues = until(lambda: bugsink_project.issues(), timeout=60, what="the issue")
    assert len(issues) == 1
    until(
        lambda: bugsink_project.issue(issues[0]["id"])["digested_event_count"] == 2, timeout=60, what="both its events"
    )
    tags = [event["data"]["tags"].get("repeated") for event in bugsink_project.events(issues[0]["id"])]
    assert sorted(map(str, tags)) == ["4", "None"]


def test_an_event_sent_twice_is_kept_once(bugsink_project: BugsinkProject, tmp_path: Path) -> None:
    """After a kill between the server's answer and our unlink the same file goes out again, under the same id."""
    with crash_bot(tmp_path, server_of(bugsink_project)) as bot:
        spool = bot.reporter._flow.spool
        real = spool.done
        again: list[bytes] = []

        def done(entry: Any) -> None:
            again.append(spool.read(entry) or b"")
            real(entry)

        spool.done = done
        bot.say("!crash plain")
        until(lambda: again, timeout=60, what="the first sending")
        spool.put(again[0], "error", "")
        bot.reporter._flow._sender.wake()
        until(lambda: len(again) == 2, timeout=60, what="the second sending")
    (issue,) = until(lambda: bugsink_project.issues(), timeout=60, what="the issue")
    assert len(bugsink_project.events(issue["id"])) == 1
