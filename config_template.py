# A whole Errbot configuration with every setting of SentryReporter.
#
# Copy it to config.py, change what you need, and start the bot with `errbot`. As it stands it runs on the
# Text backend (your terminal), reports nothing and asks no server. The lines of SentryReporter are those below
# "SentryReporter"; into an existing config.py you copy only these.

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

# Where events go: the DSN of the bot's own project on your server. Every secret below may instead come from the
# environment variable of the same name, if it is left empty here.
SENTRY_DSN = ""

# Records from this level are kept as breadcrumbs, the trail that comes with an event.
SENTRY_LOGLEVEL = logging.INFO

# Records from this level become events. Keep this line: Errbot itself fails to start without it once
# BOT_LOG_SENTRY is True, and with INFO every start of the bot makes forty events.
SENTRY_EVENTLEVEL = logging.ERROR

# Further options for sentry_sdk.init, for example {"environment": "production", "release": "bot@1.4.0"}.
SENTRY_OPTIONS = {}

# Also report errors of the bot's web server through the SDK's Flask integration.
BOT_LOG_SENTRY_FLASK = False

# What of a person's words may leave the bot: "send" all, "scrub" only where the exception's own text repeats them,
# "drop" nothing at all.
SENTRY_CHAT_TEXT = "scrub"

# Disk, in MB, that events may take while the server is away; 0 keeps none.
SENTRY_SPOOL_MB = 50

# Identical errors within this many seconds are counted, not captured again.
SENTRY_REPEAT_SECONDS = 60

# ── SentryReporter: asking the server (!sentry issues and its family) ─────────────────────────────────────────

# The server's address: sentry.io, your own Sentry, GlitchTip or Bugsink.
SENTRY_URL = "https://sentry.io"

# "sentry", "glitchtip", "bugsink", or "auto": found out from the server.
SENTRY_SERVER = "auto"

# An API token. Sentry: an internal integration with event:read, event:write and project:read.
SENTRY_AUTH_TOKEN = ""

# The organization's slug, as in its URL. Bugsink has none.
SENTRY_ORG = ""

# Projects that this bot may show, slugs or globs; empty: all that the token sees.
SENTRY_PROJECTS = ()

# What a room may see and act on: room glob -> project globs, "direct" for direct messages. Once one room is named
# here, rooms that are not named see nothing. Example: {"#web": ["web-*"], "#ops": ["*"], "direct": ["*"]}
SENTRY_ROOM_PROJECTS = {}

# Who may change issues and alert settings: globs, as in BOT_ADMINS.
SENTRY_WRITERS = BOT_ADMINS

# After a change asked for in chat, leave a note on the issue saying who asked, where the server takes notes.
SENTRY_AUTHOR_NOTES = True

# An issue URL of the server, pasted into a room that may see it, gets a two-line summary.
SENTRY_UNFURL = True

# ── SentryReporter: alerts into rooms ─────────────────────────────────────────────────────────────────────────

# Routes: the first that matches wins, unless it says "continue": True. Example:
# SENTRY_ALERTS = [{"rooms": ["#ops"], "match": ["level>=error", "environment=production"]}]
# "mention" says whom a first word calls: a fixed text such as "@oncall", "assignee" for the chat person who has linked
# the assignee's mail address (!sentry link), or both and teams besides:
# "mention": {"assignee": True, "teams": {"backend": "@backend-oncall"}, "else": "@oncall"}
SENTRY_ALERTS = []

# The client secret of the Sentry integration whose webhook points to /sentry/webhook; a tuple of two while you
# rotate it.
SENTRY_WEBHOOK_SECRET = ""

# Secret last parts of the webhook URL for senders that cannot sign (Bugsink, GlitchTip, legacy WebHooks):
# /sentry/webhook/<token>. Make one with: python3 -c "import secrets; print(secrets.token_urlsafe(24))"
SENTRY_WEBHOOK_TOKENS = ()

# (host, port) of the plugin's own listener, which goes on while the chat network is down; None: Errbot's web server,
# where that is configured (!plugin config Webserver).
SENTRY_WEBHOOK_LISTEN = None

# How often, in seconds, the server is asked for what no webhook told; 0: never.
SENTRY_POLL_SECONDS = 60

# What delays, mixes up or loses messages in Errbot itself is mended while the plugin is active: docs/errbot-patches.md
# lists each change. False leaves Errbot as it is; `!sentry status` then says what is lost.
SENTRY_PATCH_ERRBOT = True

# Where the state is kept: an SQLAlchemy URL, needed only where several bots share it (PostgreSQL). Empty: the file
# sentry_reporter.sqlite3 in BOT_DATA_DIR.
SENTRY_STATE_URL = ""
