"""All commands: for each its name, words, options, rights, help and handler, in the order in which people see them.

A new command is one entry here and one handler; help in chat, suggestions and the table in docs/commands.md follow.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from errbot_sentry.commands import accounts, issue_details, lists, overview, triage
from errbot_sentry.commands.command_context import ABOUT, ALERTS, CHANGE, Command, Option, sentence
from errbot_sentry.commands.parser import row_limit, sort_order, span
from errbot_sentry.commands.room_alerts import alert_history, digests, silences, subscriptions

_PROJECTS = Option(("-p", "--project"), "projects", str, many=True)
_LIMIT = Option(("-n", "--limit"), "limit", row_limit, 10)
_YES = Option(("-y", "--yes"), "yes")

COMMANDS: tuple[Command, ...] = (
    Command(
        name="sentry",
        usage="sentry",
        help="what is connected, and what you may use here",
        handler=overview.overview,
        examples=("sentry",),
        group=ABOUT,
    ),
    Command(
        name="issues",
        aliases=("list",),
        usage="sentry issues [QUERY] [-p PROJECT]… [-e ENV]… [-s date|new|freq|user] [-t 24h] [-n 10]",
        help="unresolved issues, last seen first; QUERY in the server's own search language",
        handler=lists.list_issues,
        examples=("sentry issues", "sentry issues TimeoutError -p web -t 24h", "sentry issues is:resolved -s new -n 5"),
        options=(
            _PROJECTS,
            Option(("-e", "--env", "--environment"), "environments", str, many=True),
            Option(("-s", "--sort"), "sort", sort_order, "date"),
            Option(("-t", "--period"), "seen_within", span),
            _LIMIT,
        ),
    ),
    Command(
        name="next",
        usage="sentry next",
        help="the following page of the last list here",
        handler=lists.next_page,
        examples=("sentry next",),
        most_words=0,
    ),
    Command(
        name="prev",
        usage="sentry prev",
        help="the previous page of the last list here",
        handler=lists.previous_page,
        examples=("sentry prev",),
        most_words=0,
    ),
    Command(
        name="issue",
        usage="sentry issue REF",
        help="full issue details; REF is WEB-1A, a number, an address, #3 or @latest",
        handler=issue_details.show_issue,
        examples=("sentry issue WEB-1A", "sentry issue #3", "sentry issue @latest"),
        most_words=1,
    ),
    Command(
        name="trace",
        usage="sentry trace REF [--full]",
        help="the latest stack trace with source and local variables, newest frame last; --full: all of it, as a file "
        "where the chat takes files",
        handler=issue_details.show_trace,
        examples=("sentry trace #1", "sentry trace WEB-1A --full"),
        options=(Option(("--full",), "full"),),
        most_words=1,
    ),
    Command(
        name="events",
        usage="sentry events REF [-n 10]",
        help="the latest events of an issue",
        handler=issue_details.list_events,
        examples=("sentry events #1",),
        options=(_LIMIT,),
        most_words=1,
    ),
    Command(
        name="tags",
        usage="sentry tags REF [KEY]",
        help="how the tags of an issue are spread, or one tag's values",
        handler=issue_details.show_tags,
        examples=("sentry tags #1", "sentry tags WEB-1A browser"),
        most_words=2,
    ),
    Command(
        name="graph",
        usage="sentry graph REF|-p PROJECT [-t 14d]",
        help="events over time",
        handler=issue_details.show_graph,
        examples=("sentry graph #1", "sentry graph -p web -t 24h"),
        options=(_PROJECTS, Option(("-t", "--period"), "span", span, timedelta(days=14))),
    ),
    Command(
        name="projects",
        usage="sentry projects",
        help="the projects that may be shown here",
        handler=lists.list_projects,
        examples=("sentry projects",),
        most_words=0,
    ),
    Command(
        name="releases",
        usage="sentry releases [-p PROJECT]… [-n 10]",
        help="the newest releases",
        handler=lists.list_releases,
        examples=("sentry releases -p web",),
        options=(_PROJECTS, _LIMIT),
        most_words=0,
    ),
    Command(
        name="resolve",
        aliases=("close",),
        usage="sentry resolve REF… [--in VERSION|@next|@latest|@commit:REPO@SHA] [--yes]",
        help="resolve, now or by a release or commit",
        handler=triage.resolve,
        examples=("sentry resolve #1", "sentry resolve #2-5", "sentry resolve WEB-1A WEB-2B --in @next"),
        group=CHANGE,
        options=(_YES, Option(("-i", "--in"), "resolve_in", str)),
        writers_only=True,
        act=triage.resolve_now,
    ),
    Command(
        name="reopen",
        aliases=("unresolve",),
        usage="sentry reopen REF… [--yes]",
        help="open again",
        handler=triage.reopen,
        examples=("sentry reopen WEB-1A",),
        group=CHANGE,
        options=(_YES,),
        writers_only=True,
        act=triage.reopen_now,
    ),
    Command(
        name="archive",
        aliases=("ignore",),
        usage="sentry archive REF… [--until forever|escalating|2h|DATE|10x|10u|10x/5m] [--yes]",
        help="archive, forever or until it escalates, for a time, to a date (UTC), or until so many more events (x) or "
        "users (u), in a window where given",
        handler=triage.archive,
        examples=("sentry archive #1", "sentry archive WEB-1A --until 2h", "sentry archive #2 --until 10x/5m"),
        group=CHANGE,
        options=(_YES, Option(("-u", "--until"), "until", str, "forever")),
        writers_only=True,
        act=triage.archive_now,
    ),
    Command(
        name="assign",
        usage="sentry assign REF… WHO [--yes]",
        help="assign; WHO is me, a mail address, team:slug or nobody",
        handler=triage.assign,
        examples=("sentry assign #1 me", "sentry assign WEB-1A WEB-2B team:payments"),
        group=CHANGE,
        options=(_YES,),
        writers_only=True,
        act=triage.assign_to_me,
    ),
    Command(
        name="note",
        usage="sentry note REF TEXT",
        help="leave a note on an issue",
        handler=triage.note,
        examples=("sentry note #1 caused by the proxy",),
        group=CHANGE,
        writers_only=True,
        free_text=True,
    ),
    Command(
        name="priority",
        usage="sentry priority REF… high|medium|low [--yes]",
        help="set the priority",
        handler=triage.set_priority,
        examples=("sentry priority #1 high",),
        group=CHANGE,
        options=(_YES,),
        writers_only=True,
    ),
    Command(
        name="merge",
        usage="sentry merge REF REF… [--yes]",
        help="make one issue of several of one project",
        handler=triage.merge,
        examples=("sentry merge WEB-1A WEB-2B",),
        group=CHANGE,
        options=(_YES,),
        writers_only=True,
    ),
    Command(
        name="alerts",
        usage="sentry alerts [--silenced] [-n 10]",
        help="the last alerts for this room, also those that were not sent, each with the reason",
        handler=alert_history.list_alerts,
        examples=("sentry alerts", "sentry alerts --silenced -n 20"),
        group=ALERTS,
        options=(Option(("--silenced",), "silenced"), _LIMIT),
        most_words=0,
    ),
    Command(
        name="route",
        usage="sentry route PROJECT [level=error] [environment=…] [events=12] [reason=new] [tag.KEY=…]",
        help="dry run: which rooms would get such an alert, and why, or why not now",
        handler=alert_history.dry_run,
        examples=("sentry route web level=error environment=production",),
        group=ALERTS,
    ),
    Command(
        name="subscriptions",
        usage="sentry subscriptions",
        help="the subscriptions of this room",
        handler=subscriptions.list_subscriptions,
        examples=("sentry subscriptions",),
        group=ALERTS,
        most_words=0,
    ),
    Command(
        name="silences",
        usage="sentry silences",
        help="the silences that apply here",
        handler=silences.list_silences,
        examples=("sentry silences",),
        group=ALERTS,
        most_words=0,
    ),
    Command(
        name="subscribe",
        usage="sentry subscribe [MATCHERS]",
        help="alerts for the room where it is typed",
        handler=subscriptions.subscribe,
        examples=("sentry subscribe project=web-* level>=error", 'sentry subscribe title=~"Timeout.*"'),
        group=ALERTS,
        writers_only=True,
    ),
    Command(
        name="unsubscribe",
        usage="sentry unsubscribe N",
        help="end a subscription",
        handler=subscriptions.unsubscribe,
        examples=("sentry unsubscribe 3",),
        group=ALERTS,
        writers_only=True,
        most_words=1,
    ),
    Command(
        name="silence",
        usage="sentry silence MATCHERS|REF -d 2h [-c why]",
        help="send no alerts for a time; typed in a direct message, in every room",
        handler=silences.silence,
        examples=("sentry silence WEB-1A -d 2h -c deploying", "sentry silence project=web environment=staging -d 1d"),
        group=ALERTS,
        options=(
            Option(("-d", "--duration"), "length", silences.silence_length),
            Option(("-c", "--comment"), "comment", default="", to_the_end=True),
        ),
        writers_only=True,
        act=silences.silence_issue,
    ),
    Command(
        name="unsilence",
        usage="sentry unsilence N",
        help="end a silence now",
        handler=silences.unsilence,
        examples=("sentry unsilence 3",),
        group=ALERTS,
        writers_only=True,
        most_words=1,
    ),
    Command(
        name="digest",
        usage="sentry digest [daily HH:MM|weekly DAY HH:MM|off|now] [ZONE]",
        help="a regular digest for this room; everybody may ask for one `now`",
        handler=digests.digest,
        examples=("sentry digest daily 09:00 Europe/Paris", "sentry digest weekly mon 09:00", "sentry digest now"),
        group=ALERTS,
        writers_only=True,
        readers_may=("now",),
    ),
    Command(
        name="link",
        usage="sentry link MAIL [REF]",
        help="prove which account on the server is yours, for `assign me`, notes and mentions; without REF it says how",
        handler=accounts.link,
        examples=("sentry link alice@example.org", "sentry link alice@example.org WEB-1A"),
        group=ABOUT,
        most_words=2,
    ),
    Command(
        name="unlink",
        usage="sentry unlink",
        help="forget which account on the server is yours",
        handler=accounts.unlink,
        examples=("sentry unlink",),
        group=ABOUT,
        most_words=0,
    ),
    Command(
        name="whoami",
        usage="sentry whoami",
        help="who you are here and on the server",
        handler=accounts.whoami,
        examples=("sentry whoami",),
        group=ABOUT,
        most_words=0,
    ),
    Command(
        name="feedback",
        usage="sentry feedback TEXT",
        help="attach your words to the error of the bot that you last ran into",
        handler=overview.feedback,
        examples=("sentry feedback I wanted to split the bill by zero",),
        group=ABOUT,
        free_text=True,
    ),
    Command(
        name="status",
        usage="sentry status",
        help="health of each part",
        handler=overview.status,
        examples=("sentry status",),
        group=ABOUT,
        most_words=0,
    ),
    Command(
        name="test",
        usage="sentry test",
        help="send a test event end to end",
        handler=overview.send_test,
        examples=("sentry test",),
        group=ABOUT,
        most_words=0,
    ),
)


def help_text(entry: Command, prefix: str = "!") -> str:
    """The help of one command, as `!help sentry issues` shows it."""
    lines = [sentence(entry), "", f"Usage: {prefix}{entry.usage}"]
    if entry.examples:
        lines += ["Examples: " + "   ".join(prefix + example for example in entry.examples)]
    return "\n".join(lines)


def docs_table(commands: Iterable[Command] = COMMANDS) -> str:
    """The table of commands for a page of the docs, in Markdown."""
    rows = ["| command | does |", "|---|---|"]
    for entry in commands:
        also = f" (also {', '.join(f'`!sentry {alias}`' for alias in entry.aliases)})" if entry.aliases else ""
        usage = entry.usage.replace("|", "\\|")
        rows.append(f"| `!{usage}`{also} | {entry.help} |")
    return "\n".join(rows) + "\n"
