"""The commands of the query flow, as people see them."""

from __future__ import annotations

from errbot_sentry.commands.registry import ABOUT, CHANGE, Command

COMMANDS: tuple[Command, ...] = (
    Command("sentry", "sentry", "what is connected, and what you may use here", ("sentry",), ABOUT),
    Command(
        "issues",
        "sentry issues [QUERY] [-p PROJECT]… [-e ENV]… [-s date|new|freq|user] [-t 24h] [-n 10]",
        "unresolved issues, last seen first; QUERY in the server's own search language",
        ("sentry issues", "sentry issues TimeoutError -p web -t 24h", "sentry issues is:resolved -s new -n 5"),
    ),
    Command("next", "sentry next", "the following page of the last list here", ("sentry next",)),
    Command("prev", "sentry prev", "the previous page of the last list here", ("sentry prev",)),
    Command(
        "issue",
        "sentry issue REF",
        "one issue whole; REF is WEB-1A, a number, an address, #3 or @latest",
        ("sentry issue WEB-1A", "sentry issue #3", "sentry issue @latest"),
    ),
    Command(
        "trace",
        "sentry trace REF [--full]",
        "the latest stack trace with source and local variables, newest frame last; --full: all of it, as a file "
        "where the chat takes files",
        ("sentry trace #1", "sentry trace WEB-1A --full"),
    ),
    Command("events", "sentry events REF [-n 10]", "the latest events of an issue", ("sentry events #1",)),
    Command(
        "tags",
        "sentry tags REF [KEY]",
        "how the tags of an issue are spread, or one tag's values",
        ("sentry tags #1", "sentry tags WEB-1A browser"),
    ),
    Command(
        "graph",
        "sentry graph REF|-p PROJECT [-t 14d]",
        "events over time",
        ("sentry graph #1", "sentry graph -p web -t 24h"),
    ),
    Command("projects", "sentry projects", "the projects that may be shown here", ("sentry projects",)),
    Command("releases", "sentry releases [-p PROJECT]… [-n 10]", "the newest releases", ("sentry releases -p web",)),
    Command(
        "resolve",
        "sentry resolve REF… [--in VERSION|@next|@latest|@commit:REPO@SHA] [--yes]",
        "resolve, now or by a release or commit",
        ("sentry resolve #1", "sentry resolve #2-5", "sentry resolve WEB-1A WEB-2B --in @next"),
        CHANGE,
        writers_only=True,
    ),
    Command(
        "reopen",
        "sentry reopen REF… [--yes]",
        "open again",
        ("sentry reopen WEB-1A",),
        CHANGE,
        aliases=("unresolve",),
        writers_only=True,
    ),
    Command(
        "archive",
        "sentry archive REF… [--until forever|escalating|2h|DATE|10x|10u|10x/5m] [--yes]",
        "archive, for ever or until it escalates, for a time, to a date (UTC), or until so many more events (x) or "
        "users (u), in a window where given",
        ("sentry archive #1", "sentry archive WEB-1A --until 2h", "sentry archive #2 --until 10x/5m"),
        CHANGE,
        aliases=("ignore",),
        writers_only=True,
    ),
    Command(
        "assign",
        "sentry assign REF… WHO [--yes]",
        "assign; WHO is me, a mail address, team:slug or nobody",
        ("sentry assign #1 me", "sentry assign WEB-1A WEB-2B team:payments"),
        CHANGE,
        writers_only=True,
    ),
    Command(
        "note",
        "sentry note REF TEXT",
        "leave a note on an issue",
        ("sentry note #1 caused by the proxy",),
        CHANGE,
        writers_only=True,
    ),
    Command(
        "priority",
        "sentry priority REF… high|medium|low [--yes]",
        "set the priority",
        ("sentry priority #1 high",),
        CHANGE,
        writers_only=True,
    ),
    Command(
        "merge",
        "sentry merge REF REF… [--yes]",
        "make one issue of several of one project",
        ("sentry merge WEB-1A WEB-2B",),
        CHANGE,
        writers_only=True,
    ),
    Command(
        "link",
        "sentry link MAIL [REF]",
        "prove who you are on the server, for assign me, notes and mentions: first without REF, to learn how",
        ("sentry link alice@example.org", "sentry link alice@example.org WEB-1A"),
        ABOUT,
    ),
    Command("unlink", "sentry unlink", "forget who you are on the server", ("sentry unlink",), ABOUT),
    Command("whoami", "sentry whoami", "who you are here and on the server", ("sentry whoami",), ABOUT),
    Command(
        "feedback",
        "sentry feedback TEXT",
        "attach your words to the error of the bot that you last ran into",
        ("sentry feedback I wanted to split the bill by zero",),
        ABOUT,
    ),
    Command("status", "sentry status", "each flow's health", ("sentry status",), ABOUT),
    Command("test", "sentry test", "send a test event through the whole way", ("sentry test",), ABOUT),
)
