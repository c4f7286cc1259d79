"""All commands, in the order in which people see them: name, words, options, rights, help and handler of each.

A new command needs one entry here and one handler. Help in chat, suggestions and the table in docs/commands.md are made
from the entries.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from errbot_sentry.commands import accounts, issue_details, lists, overview
from errbot_sentry.commands.changes import triage
from errbot_sentry.commands.command_context import ABOUT, ALERTS, CHANGE, Command, Option, sentence
from errbot_sentry.commands.parser import row_limit, sort_order, span
from errbot_sentry.commands.room_alerts import alert_history, digests, silences, subscriptions, undelivered

_PROJECTS = Option(("-p", "--project"), "projects", str, many=True)
_LIMIT = Option(("-n", "--limit"), "limit", row_limit, 10)
_FULL = Option(("--full",), "full")
_YES = Option(("-y", "--yes"), "yes")

_change = partial(Command, group=CHANGE, writers_only=True)
_alerts = partial(Command, group=ALERTS)
_setting = partial(Command, group=ALERTS, writers_only=True)
_about = partial(Command, group=ABOUT)

COMMANDS: tuple[Command, ...] = (
    _about(
        "sentry",
        "what the bot is connected to and what you can do here; with a REF, that issue's details",
        overview.overview,
        args="[REF]",
        examples=("", "WEB-1A"),
    ),
    Command(
        "issues",
        "unresolved issues, last seen first; QUERY in the server's own search language",
        lists.list_issues,
        args="[QUERY] [-p PROJECT]… [-e ENV]… [-s date|new|freq|user] [-t 24h] [-n 10]",
        examples=("", "TimeoutError -p web -t 24h", "is:resolved -s new -n 5"),
        aliases=("list",),
        options=(
            _PROJECTS,
            Option(("-e", "--env", "--environment"), "environments", str, many=True),
            Option(("-s", "--sort"), "sort", sort_order, "date"),
            Option(("-t", "--period"), "seen_within", span),
            _LIMIT,
        ),
    ),
    Command("next", "next page of the last list here", lists.next_page, most_words=0),
    Command("prev", "previous page of the last list here", lists.previous_page, most_words=0),
    Command(
        "issue",
        "issue details; REF is WEB-1A, a number, an address, #3 or @latest; --full: also the request, contexts, "
        "activity, suspect commits and owners, if the server has them",
        issue_details.show_issue,
        args="REF [--full]",
        examples=("WEB-1A", "#3", "@latest --full"),
        options=(_FULL,),
        most_words=1,
    ),
    Command(
        "trace",
        "the latest stack trace with source and local variables, newest frame last; --full: all of it, as a file "
        "if the chat takes files",
        issue_details.show_trace,
        args="REF [--full]",
        examples=("#1", "WEB-1A --full"),
        options=(_FULL,),
        most_words=1,
    ),
    Command(
        "breadcrumbs",
        "what the program did before the latest event, newest last",
        issue_details.show_breadcrumbs,
        args="REF [-n 10]",
        examples=("#1", "WEB-1A -n 50"),
        options=(_LIMIT,),
        most_words=1,
    ),
    Command(
        "events",
        "the latest events of an issue",
        issue_details.list_events,
        args="REF [-n 10]",
        examples=("#1",),
        options=(_LIMIT,),
        most_words=1,
    ),
    Command(
        "tags",
        "the most frequent values of each tag of an issue, or all values of one tag",
        issue_details.show_tags,
        args="REF [KEY]",
        examples=("#1", "WEB-1A browser"),
        most_words=2,
        needs="tags",
    ),
    Command(
        "graph",
        "events over time; --dark: on a dark background, if the chat takes files",
        issue_details.show_graph,
        args="REF|-p PROJECT [-t 14d] [--dark]",
        examples=("#1", "-p web -t 24h"),
        options=(_PROJECTS, Option(("-t", "--period"), "span", span, timedelta(days=14)), Option(("--dark",), "dark")),
    ),
    Command("projects", "projects that are visible here", lists.list_projects, most_words=0),
    Command(
        "releases",
        "the newest releases",
        lists.list_releases,
        args="[-p PROJECT]… [-n 10]",
        examples=("-p web",),
        options=(_PROJECTS, _LIMIT),
        most_words=0,
    ),
    Command(
        "monitors",
        "cron and uptime monitors, failing ones first",
        lists.list_monitors,
        args="[-p PROJECT]… [-n 10]",
        examples=("", "-p web"),
        options=(_PROJECTS, _LIMIT),
        most_words=0,
        needs="read_monitors",
    ),
    _change(
        "resolve",
        "resolve issues: now, in a release or by a commit",
        triage.resolve,
        args="REF… [--in VERSION|@next|@latest|@commit:REPO@SHA] [--yes]",
        examples=("#1", "#2-5", "WEB-1A WEB-2B --in @next"),
        aliases=("close",),
        options=(_YES, Option(("-i", "--in"), "resolve_in", str)),
        act=triage.resolve_now,
    ),
    _change(
        "reopen",
        "reopen issues",
        triage.reopen,
        args="REF… [--yes]",
        examples=("WEB-1A",),
        aliases=("unresolve",),
        options=(_YES,),
        act=triage.reopen_now,
    ),
    _change(
        "archive",
        "archive issues: forever, until they escalate, for a time, until a date (UTC), or until so many more events "
        "(x) or users (u), also within a window",
        triage.archive,
        args="REF… [--until forever|escalating|2h|DATE|10x|10u|10x/5m] [--yes]",
        examples=("#1", "WEB-1A --until 2h", "#2 --until 10x/5m"),
        aliases=("ignore",),
        options=(_YES, Option(("-u", "--until"), "until", str, "forever")),
        act=triage.archive_now,
    ),
    _change(
        "assign",
        "assign issues; WHO is me, a mail address, team:slug or nobody",
        triage.assign,
        args="REF… WHO [--yes]",
        examples=("#1 me", "WEB-1A WEB-2B team:payments"),
        options=(_YES,),
        act=triage.assign_to_me,
        needs="assign",
    ),
    _change(
        "ack",
        "take issues on: the same as `assign REF me`",
        triage.acknowledge,
        args="REF… [--yes]",
        examples=("#1",),
        options=(_YES,),
        needs="assign",
    ),
    _change(
        "note",
        "leave a note on an issue",
        triage.note,
        args="REF TEXT",
        examples=("#1 caused by the proxy",),
        free_text=True,
    ),
    _change(
        "priority",
        "set the priority",
        triage.set_priority,
        args="REF… high|medium|low [--yes]",
        examples=("#1 high",),
        options=(_YES,),
        needs="set_priority",
    ),
    _change(
        "merge",
        "merge issues of one project into one",
        triage.merge,
        args="REF REF… [--yes]",
        examples=("WEB-1A WEB-2B",),
        options=(_YES,),
        needs="merge",
    ),
    _alerts(
        "alerts",
        "recent alerts for this room, including those that were not sent, with the reason",
        alert_history.list_alerts,
        args="[--silenced|--undelivered] [-n 10]",
        examples=("", "--silenced -n 20", "--undelivered"),
        options=(Option(("--silenced",), "silenced"), Option(("--undelivered",), "undelivered"), _LIMIT),
        most_words=0,
    ),
    _alerts(
        "route",
        "dry run: which rooms would get such an alert and why, or what stops it now",
        alert_history.dry_run,
        args="PROJECT [level=error] [environment=…] [events=12] [reason=new] [tag.KEY=…]",
        examples=("web level=error environment=production",),
    ),
    _alerts("subscriptions", "the subscriptions of this room", subscriptions.list_subscriptions, most_words=0),
    _alerts("silences", "the silences that apply here", silences.list_silences, most_words=0),
    _setting(
        "subscribe",
        "send matching alerts to this room; in a direct message: to you alone, also with assignee=me or "
        "assignee=my-teams",
        subscriptions.subscribe,
        args="[MATCHERS]",
        examples=("project=web-* level>=error", 'title=~"Timeout.*"', "assignee=me"),
        own_in_direct=True,
    ),
    _setting(
        "unsubscribe",
        "end a subscription",
        subscriptions.unsubscribe,
        args="N",
        examples=("3",),
        own_in_direct=True,
        most_words=1,
    ),
    _setting(
        "silence",
        "send no alerts for a while; in a direct message: for every room",
        silences.silence,
        args="MATCHERS|REF -d 2h [-c why]",
        examples=("WEB-1A -d 2h -c deploying", "project=web environment=staging -d 1d"),
        aliases=("mute", "snooze"),
        options=(
            Option(("-d", "--duration"), "length", silences.silence_length),
            Option(("-c", "--comment"), "comment", default="", to_the_end=True),
        ),
        act=silences.silence_issue,
    ),
    _setting(
        "unsilence",
        "end a silence now",
        silences.unsilence,
        args="N",
        examples=("3",),
        aliases=("unmute",),
        most_words=1,
    ),
    _setting(
        "resend",
        "send this room's undelivered messages again, in order",
        undelivered.resend,
        args="N|all",
        examples=("17", "all"),
        most_words=1,
    ),
    _setting(
        "digest",
        "a regular digest for this room; anyone can get one `now`",
        digests.digest,
        args="[daily HH:MM|weekly DAY HH:MM|off|now] [ZONE]",
        examples=("daily 09:00 Europe/Paris", "weekly mon 09:00", "now"),
        readers_may=("now",),
    ),
    _about(
        "link",
        "prove which account on the server is yours, for `assign me`, notes and mentions; without REF: how to do it",
        accounts.link,
        args="MAIL [REF]",
        examples=("alice@example.org", "alice@example.org WEB-1A"),
        most_words=2,
        needs="accounts",
    ),
    _about("unlink", "forget which account on the server is yours", accounts.unlink, most_words=0, needs="accounts"),
    _about("whoami", "who you are here and on the server", accounts.whoami, most_words=0),
    _about(
        "feedback",
        "add a comment to the last error of the bot that you ran into",
        overview.feedback,
        args="TEXT",
        examples=("I wanted to split the bill by zero",),
        free_text=True,
        needs="feedback",
    ),
    _about("status", "health of each part", overview.status, most_words=0),
    _about("test", "send a test event end to end", overview.send_test, most_words=0),
)


def help_text(entry: Command, prefix: str = "!") -> str:
    """The help of one command, as `!help sentry issues` shows it."""
    examples = "   ".join(prefix + entry.typed_with(example) for example in entry.examples)
    return f"{sentence(entry)}\n\nUsage: {prefix}{entry.usage}\nExamples: {examples}"
