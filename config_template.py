# A whole Errbot configuration with every setting of SentryReporter.
#
# Copy it to config.py, change what you need, and start the bot with `errbot`. Without changes, the bot runs in your
# terminal (the Text backend), reports nothing and contacts no server. If you already have a config.py, copy only the
# sections below with "SentryReporter" in their heading.

import logging
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent

# ── Errbot ────────────────────────────────────────────────────────────────────────────────────────────────────

BACKEND = "Text"  # or IRC, XMPP, Telegram; Slack, Discord and Mattermost are backends installed beside Errbot
BOT_IDENTITY = {"username": "@errbot"}  # what the backend logs in with; see Errbot's documentation of each backend
BOT_ADMINS = ("@admin",)  # IRC: ("admin!*@*",)
CHATROOM_PRESENCE = ("#ops",)  # rooms that the bot joins
BOT_PREFIX = "!"

BOT_DATA_DIR = str(_HERE / "data")
# From Python 3.13 on Errbot's "Shelf" fails in every thread but one; see docs/operations.md for what "Memory" forgets.
STORAGE = "Memory" if sys.version_info >= (3, 13) else "Shelf"
BOT_EXTRA_PLUGIN_DIR = str(_HERE / "plugins")  # the folder that holds sentry_reporter/
BOT_LOG_FILE = str(_HERE / "errbot.log")
BOT_LOG_LEVEL = logging.INFO

Path(BOT_DATA_DIR).mkdir(parents=True, exist_ok=True)

# ── SentryReporter: reporting the bot's own errors ────────────────────────────────────────────────────────────

# Reporting on or off (Errbot's own switch).
BOT_LOG_SENTRY = False

# Where events go: the DSN of the bot's own project on your server. You may leave any secret empty here and set the
# environment variable of the same name instead. For the DSN that is safer: Errbot itself reads this line before any
# plugin, and does not start if it is not a DSN, for example without https://.
SENTRY_DSN = ""

# Log records from this level on become breadcrumbs: the log lines that come with an event.
SENTRY_LOGLEVEL = logging.INFO

# Log records from this level on become events. Keep this line: without it, Errbot does not start once BOT_LOG_SENTRY is
# True. With INFO, every start of the bot makes forty events.
SENTRY_EVENTLEVEL = logging.ERROR

# Further options for sentry_sdk.init, for example {"environment": "production", "release": "bot@1.4.0"}.
SENTRY_OPTIONS = {}

# Also report errors of the bot's web server through the SDK's Flask integration.
BOT_LOG_SENTRY_FLASK = False

# Which of the words that people type may be in events: "send" (all), "scrub" (only in the exception's own text) or
# "drop" (none).
SENTRY_CHAT_TEXT = "scrub"

# How much disk space events may take while the server is away, in MB. With 0, they wait in memory.
SENTRY_SPOOL_MB = 50

# Identical errors within this many seconds are counted instead of captured again.
SENTRY_REPEAT_SECONDS = 60

# ── SentryReporter: commands, such as !sentry issues ──────────────────────────────────────────────────────────

# The server's address: sentry.io, your own Sentry, GlitchTip or Bugsink.
SENTRY_URL = "https://sentry.io"

# "sentry", "glitchtip", "bugsink", or "auto": the bot asks the server what it is.
SENTRY_SERVER = "auto"

# An API token. Sentry: of an internal integration with event:read, event:write, project:read, org:read and team:read.
# GlitchTip: with event:read, event:write, project:read, project:releases and org:read. Bugsink: what
# `bugsink-manage create_auth_token` prints. docs/servers.md lists which command needs what.
SENTRY_AUTH_TOKEN = ""

# The organization's slug, as in its URL. Bugsink has none.
SENTRY_ORG = ""

# The projects that this bot may show, as slugs or globs. Empty: all that the token can read.
SENTRY_PROJECTS = ()

# The projects that each room may see and change: room glob -> project globs, "direct" for direct messages. As soon as
# one room is named, all other rooms see nothing. Example: {"#web": ["web-*"], "#ops": ["*"], "direct": ["*"]}
SENTRY_ROOM_PROJECTS = {}

# The people who may change issues and alert settings: globs, as in BOT_ADMINS. `!sentry whoami` prints the id
# that can be pasted here.
SENTRY_WRITERS = BOT_ADMINS

# After a change from chat, leave a note on the issue that says who made it, if the server takes notes.
SENTRY_AUTHOR_NOTES = True

# Reply with a two-line summary when somebody pastes an issue's URL into a room that may see the issue.
SENTRY_UNFURL = True

# ── SentryReporter: alerts into rooms ─────────────────────────────────────────────────────────────────────────

# A room is written as its network writes it: "#ops" on IRC, Slack, Discord and Zulip, "~ops" on Mattermost,
# "ops@conference.example.com" on XMPP, the group's number on Telegram.
#
# Routes: the first one that matches an alert wins, unless it says "continue": True. docs/alerting.md explains all keys.
# Example:
# SENTRY_ALERTS = [{"rooms": ["#ops"], "match": ["level>=error", "environment=production", "tag.customer=acme"]}]
# If an alert lacks a fact that "match" or "show" needs, the bot asks the server for it.
# "show": ["tag.customer", "release", "frame"] chooses the facts in a notification.
# "trace": True puts a short stack trace into the notification's thread.
# "mention" says whom a notification mentions: a fixed text such as "@oncall"; "assignee" for the chat person who has
# linked the assignee's mail address (!sentry link); or both, and teams:
# "mention": {"assignee": True, "teams": {"backend": "@backend-oncall"}, "else": "@oncall"}
# "direct": True also sends it as a direct message to the linked people whom it mentions.
SENTRY_ALERTS = []

# The client secret of the Sentry integration whose webhook URL is /sentry/webhook on this bot; a tuple of two while you
# rotate it.
SENTRY_WEBHOOK_SECRET = ""

# Secret last parts of the webhook URL, for senders that cannot sign (Bugsink, GlitchTip, legacy WebHooks):
# /sentry/webhook/<token>. Make one with: python3 -c "import secrets; print(secrets.token_urlsafe(24))"
SENTRY_WEBHOOK_TOKENS = ()

# (host, port) of the plugin's own web listener, which also works while the chat network is down. None: webhooks come
# through Errbot's web server, if you have configured that (!plugin config Webserver).
SENTRY_WEBHOOK_LISTEN = None

# The public address of that listener (or of Errbot's web server), such as "https://bot.example.com"; Mattermost sends
# clicks there. Without it, alerts have no buttons on Mattermost.
SENTRY_PUBLIC_URL = ""

# How often the bot polls the server for alerts that no webhook brought, in seconds. 0: never.
SENTRY_POLL_SECONDS = 60

# Where notifications go while the chat takes none: addresses of Apprise (mail, ntfy, SMS, …). This needs
# `pip install apprise`. The first entry whose "match" fits takes a notification that has waited for longer than
# "after".
# SENTRY_FALLBACK = [{"urls": ["mailtos://bot:PASSWORD@example.com?to=oncall@example.com"],
#                     "match": ["level>=error"], "after": "5m"}]
SENTRY_FALLBACK = []

# How often the bot sends a test event of its own and checks that it comes back as an alert, such as "15m"; empty:
# never. The bot's admins are notified when a link of the way breaks, and when it works again (docs/operations.md).
SENTRY_CANARY = ""

# Correct what delays, mixes up or loses messages in Errbot itself; docs/errbot-patches.md lists each change. False
# leaves Errbot unchanged, and `!sentry status` shows what is lost.
SENTRY_PATCH_ERRBOT = True

# The database of the state, as an SQLAlchemy URL. You need it only if several bots share one (PostgreSQL). Empty: the
# file sentry_reporter.sqlite3 in BOT_DATA_DIR.
SENTRY_STATE_URL = ""
