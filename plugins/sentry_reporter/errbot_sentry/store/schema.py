"""The tables. Only migrations create or change them; this is what the questions are written against.

Times are seconds since 1970. Every look-up in the flow of an alert goes by one of the indexes named here.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, Table, Text

metadata = MetaData()

# SQLite numbers rows only in a column of exactly this type.
_Id = BigInteger().with_variant(Integer, "sqlite")

migrations = Table("migrations", metadata, Column("name", Text, primary_key=True), Column("at", Float, nullable=False))

deliveries = Table(
    "deliveries",
    metadata,
    Column("key", Text, primary_key=True),
    Column("at", Float, nullable=False),
    Index("deliveries_at", "at"),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("state", Text, nullable=False),
    Column("next_try", Float, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("received", Float, nullable=False),
    Column("body", Text, nullable=False),
    Column("issue", Text, nullable=False),
    Index("alerts_due", "state", "next_try", "id"),
    Index("alerts_received", "received"),
)
# Only of those that wait, which are few: who was before whom.
alerts_order = Index(
    "alerts_order",
    alerts.c.issue,
    alerts.c.id,
    sqlite_where=alerts.c.state == "waiting",
    postgresql_where=alerts.c.state == "waiting",
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("alert_id", BigInteger, nullable=False),
    Column("room", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("issue", Text, nullable=False),
    Column("at", Float, nullable=False),
    Index("decisions_room", "room", "id"),
    Index("decisions_room_at", "room", "at"),
    Index("decisions_at", "at"),
)

issues = Table(
    "issues",
    metadata,
    Column("key", Text, primary_key=True),
    Column("status", Text, nullable=False),
    Column("substatus", Text, nullable=False),
    Column("short_id", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("events", BigInteger),
    Column("last_seen", Float, nullable=False),
    Column("assignee", Text, nullable=False),
    Column("level", Text, nullable=False),
    Column("link", Text, nullable=False),
    Column("notified_at", Float),
    Column("changed", Float, nullable=False),
    Column("touched", Float, nullable=False),
    Column("assignee_kind", Text, nullable=False),
    Column("assignee_mail", Text, nullable=False),
    Index("issues_touched", "touched"),
)

groups = Table(
    "groups",
    metadata,
    Column("room", Text, primary_key=True),
    Column("issue", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("opened", Float, nullable=False),
    Column("notified_at", Float, nullable=False),
    Column("status", Text, nullable=False),
    Column("level", Text, nullable=False),
    Column("last_sent", Float, nullable=False),
    Column("counted", Integer, nullable=False),
    Column("events", BigInteger),
    Column("due", Float),
    Column("span", Float, nullable=False),
    Column("window", Float, nullable=False),
    Column("repeat", Float, nullable=False),
    Column("threads", Text, nullable=False),
    Column("mention", Text, nullable=False),
    Column("thread_root", BigInteger, nullable=False),
    Column("alert_id", BigInteger, nullable=False),
    Column("mentioned", Text, nullable=False),
    Index("groups_issue", "issue"),
    Index("groups_due", "due"),
    Index("groups_at", "at"),
)

deferred = Table(
    "deferred",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("room", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("silence", BigInteger, nullable=False),
    Column("alert_id", BigInteger, nullable=False),
    Column("issue", Text, nullable=False),
    Column("mention", Text, nullable=False),
    Column("due", Float, nullable=False),
    Column("at", Float, nullable=False),
    Index("deferred_due", "due"),
    Index("deferred_room", "room", "reason"),
    Index("deferred_silence", "silence"),
)

silences = Table(
    "silences",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("room", Text, nullable=False),
    Column("matchers", Text, nullable=False),
    Column("issue", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("made", Float, nullable=False),
    Column("ends", Float, nullable=False),
    Column("stage", Integer, nullable=False),
    Index("silences_stage", "stage", "ends"),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("room", Text, nullable=False),
    Column("matchers", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("made", Float, nullable=False),
)

digests = Table(
    "digests",
    metadata,
    Column("room", Text, primary_key=True),
    Column("schedule", Text, nullable=False),
    Column("next_at", Float, nullable=False),
    Column("since", Float, nullable=False),
)

polls = Table(
    "polls",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("baseline", Float, nullable=False),
    Column("complete", Integer, nullable=False),
    Column("newest", Float, nullable=False),
    Column("next_at", Float, nullable=False),
    Column("fails", Integer, nullable=False),
    Column("error", Text, nullable=False),
    Column("answered_at", Float, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("state", Text, nullable=False),
    Column("room", Text, nullable=False),
    Column("issue", Text, nullable=False),
    Column("alert_id", BigInteger, nullable=False),
    Column("thread_root", BigInteger, nullable=False),
    Column("threads", Text, nullable=False),
    Column("mark", Text, nullable=False),
    Column("mention", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("placement", Text, nullable=False),
    Column("projects", Text, nullable=False),
    Column("alert_count", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("next_try", Float, nullable=False),
    Column("made", Float, nullable=False),
    Column("sent", Float),
    Column("sent_id", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("lease", Float, nullable=False),
    Column("error", Text, nullable=False),
    Index("outbox_queue", "state", "room", "id"),
    Index("outbox_made", "made"),
    Index("outbox_recent", "room", "placement", "made"),
    Index("outbox_thread", "room", "sent_id"),
)

made_once = Table("made_once", metadata, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))

accounts = Table(
    "accounts",
    metadata,
    Column("acl", Text, primary_key=True),
    Column("mail", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("mention", Text, nullable=False),
)
