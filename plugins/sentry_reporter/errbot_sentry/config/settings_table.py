"""The table of all settings: name, type, default, the flows that a wrong value switches off, and the meaning.

`docs/settings.md` has the same table, and `config_template.py` the same sentences; tests compare them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from errbot_sentry.config import fields as values
from errbot_sentry.config.mistakes import ALERTS, QUERY, REPORT, SAAS


@dataclass(frozen=True)
class Setting:
    """One name of config.py.

    Args:
        kind: its type, in words.
        reader: returns the checked value for the value in config.py, or raises ValueError.
        default: the value if config.py does not have the setting.
        flows: the flows that a wrong value switches off.
        sentence: the meaning, for docs/settings.md and config_template.py.
        secret: whether the setting is never shown, and may also come from the environment variable of the same name.
        default_words: the default in words, if the value does not explain itself.
    """

    name: str
    kind: str
    reader: values.Reader
    default: Any
    flows: tuple[str, ...]
    sentence: str
    secret: bool = False
    default_words: str = ""


_SERVER = (QUERY, ALERTS)
SETTINGS = (
    Setting("BOT_LOG_SENTRY", "bool", values.flag, False, (REPORT,), "Reporting on or off (Errbot's own switch)."),
    Setting(
        "SENTRY_DSN", "text", values.dsn, "", (REPORT,),
        "Where events go: the DSN of the bot's own project on your server.", secret=True,
    ),
    Setting(
        "SENTRY_LOGLEVEL", "logging level", values.level, None, (REPORT,),
        "Log records from this level on become breadcrumbs: the log lines that come with an event.",
        default_words="`logging.INFO`",
    ),
    Setting(
        "SENTRY_EVENTLEVEL", "logging level", values.level, None, (REPORT,),
        "Log records from this level on become events.", default_words="`logging.ERROR`",
    ),
    Setting(
        "SENTRY_OPTIONS", "dict", values.options, {}, (REPORT,),
        'Further options for sentry_sdk.init, for example {"environment": "production", "release": "bot@1.4.0"}.',
    ),
    Setting(
        "BOT_LOG_SENTRY_FLASK", "bool", values.flag, False, (REPORT,),
        "Also report errors of the bot's web server through the SDK's Flask integration.",
    ),
    Setting(
        "SENTRY_CHAT_TEXT", "text", values.one_of("send", "scrub", "drop"), "scrub", (REPORT,),
        'Which of the words that people type may be in events: "send" (all), "scrub" (only in the exception\'s own '
        'text) or "drop" (none).',
    ),
    Setting(
        "SENTRY_SPOOL_MB", "MB", values.amount, 50, (REPORT,),
        "How much disk space events may take while the server is away, in MB. With 0, they wait in memory.",
    ),
    Setting(
        "SENTRY_REPEAT_SECONDS", "seconds", values.amount, 60, (REPORT,),
        "Identical errors within this many seconds are counted instead of captured again.",
    ),
    Setting(
        "SENTRY_URL", "URL", values.base_url, SAAS, _SERVER,
        "The server's address: sentry.io, your own Sentry, GlitchTip or Bugsink.",
    ),
    Setting(
        "SENTRY_SERVER", "text", values.one_of("auto", "sentry", "glitchtip", "bugsink"), "auto", _SERVER,
        '"sentry", "glitchtip", "bugsink", or "auto": the bot asks the server what it is.',
    ),
    Setting("SENTRY_AUTH_TOKEN", "text", values.token, "", _SERVER, "An API token.", secret=True),
    Setting(
        "SENTRY_ORG", "text", values.slug, "", _SERVER, "The organization's slug, as in its URL. Bugsink has none."
    ),
    Setting(
        "SENTRY_PROJECTS", "tuple of globs", values.texts, (), _SERVER,
        "The projects that this bot may show, as slugs or globs. Empty: all that the token can read.",
    ),
    Setting(
        "SENTRY_ROOM_PROJECTS", "dict", values.room_projects, {}, _SERVER,
        'The projects that each room may see and change: room glob -> project globs, "direct" for direct messages.',
    ),
    Setting(
        "SENTRY_WRITERS", "tuple of globs", values.texts, None, _SERVER,
        "The people who may change issues and alert settings: globs, as in BOT_ADMINS. `!sentry whoami` prints "
        "the id that can be pasted here.",
        default_words="`BOT_ADMINS`",
    ),
    Setting(
        "SENTRY_AUTHOR_NOTES", "bool", values.flag, True, (QUERY,),
        "After a change from chat, leave a note on the issue that says who made it, if the server takes notes.",
    ),
    Setting(
        "SENTRY_UNFURL", "bool", values.flag, True, (QUERY,),
        "Reply with a two-line summary when somebody pastes an issue's URL into a room that may see the issue.",
    ),
    Setting(
        "SENTRY_ALERTS", "list of dicts", values.routes, [], (ALERTS,),
        'Routes: the first one that matches an alert wins, unless it says "continue": True.',
    ),
    Setting(
        "SENTRY_WEBHOOK_SECRET", "text or tuple", values.secrets, (), (ALERTS,),
        "The client secret of the Sentry integration whose webhook URL is /sentry/webhook on this bot; a tuple of two "
        "while you rotate it.",
        secret=True, default_words='`""`',
    ),
    Setting(
        "SENTRY_WEBHOOK_TOKENS", "tuple", values.path_tokens, (), (ALERTS,),
        "Secret last parts of the webhook URL, for senders that cannot sign (Bugsink, GlitchTip, legacy WebHooks): "
        "/sentry/webhook/<token>.",
        secret=True,
    ),
    Setting(
        "SENTRY_WEBHOOK_LISTEN", "(host, port)", values.listen, None, (ALERTS,),
        "(host, port) of the plugin's own web listener, which also works while the chat network is down.",
    ),
    Setting(
        "SENTRY_PUBLIC_URL", "URL", values.public_url, "", (ALERTS,),
        "The public address of that listener (or of Errbot's web server), such as "
        '"https://bot.example.com"; Mattermost sends clicks there.',
    ),
    Setting(
        "SENTRY_POLL_SECONDS", "seconds", values.interval, 60, (ALERTS,),
        "How often the bot polls the server for alerts that no webhook brought, in seconds. 0: never.",
    ),
    Setting(
        "SENTRY_FALLBACK", "list of dicts", values.fallback, [], (),
        "Where notifications go while the chat takes none: addresses of Apprise (mail, ntfy, SMS, …).",
    ),
    Setting(
        "SENTRY_CANARY", "duration", values.pause, "", (),
        'How often the bot sends a test event of its own and checks that it comes back as an alert, such as "15m"; '
        "empty: never.",
    ),
    Setting(
        "SENTRY_STATE_URL", "URL", values.state_url, "", (ALERTS,),
        "The database of the state, as an SQLAlchemy URL.", secret=True,
        default_words="the file `sentry_reporter.sqlite3` in `BOT_DATA_DIR`",
    ),
    Setting(
        "SENTRY_PATCH_ERRBOT", "bool", values.flag, True, (),
        "Correct what delays, mixes up or loses messages in Errbot itself; docs/errbot-patches.md lists each change.",
    ),
)  # fmt: skip
