"""The tables, as the queries use them. Only migrations create or change them.

Times are seconds since 1970. Every look-up on an alert's way uses one of these indexes.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, Table, Text

metadata = MetaData()


def _columns(kind: Any, *names: str) -> list[Column[Any]]:
    """Columns of this type that must have a value."""
    return [Column(name, kind, nullable=False) for name in names]


def _keys(*names: str) -> list[Column[Any]]:
    """Text columns that form the primary key."""
    return [Column(name, Text, primary_key=True) for name in names]


def _number() -> Column[Any]:
    """The id, which the database assigns. SQLite only does so for a column of exactly the type INTEGER."""
    return Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)


migrations = Table(
    "migrations",
    metadata,
    *_keys("name"),
    *_columns(Float, "at"),
)

deliveries = Table(
    "deliveries",
    metadata,
    *_keys("key"),
    *_columns(Float, "at"),
    Index("deliveries_at", "at"),
)

alerts = Table(
    "alerts",
    metadata,
    _number(),
    *_columns(Text, "state", "body", "issue"),
    *_columns(Float, "next_try", "received"),
    *_columns(Integer, "tries", "is_known", "lane"),
    Index("alerts_due", "state", "is_known", "next_try", "id", "lane"),
    Index("alerts_received", "received"),
)
# The order of alerts about one problem. It only covers waiting alerts, which are few.
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
    _number(),
    *_columns(Text, "room", "name", "detail", "reason", "issue"),
    *_columns(Float, "at"),
    *_columns(BigInteger, "alert_id"),
    Index("decisions_room", "room", "id"),
    Index("decisions_room_at", "room", "at"),
    Index("decisions_at", "at"),
)

issues = Table(
    "issues",
    metadata,
    *_keys("key"),
    *_columns(Text, "status", "substatus", "short_id", "title", "project"),
    *_columns(Text, "assignee", "level", "link", "assignee_kind", "assignee_mail", "facts"),
    *_columns(Integer, "lacking"),
    *_columns(Float, "last_seen", "changed", "touched"),
    Column("events", BigInteger),
    Column("notified_at", Float),
    Column("polled_events", BigInteger),
    Column("polled_users", BigInteger),
    Index("issues_touched", "touched"),
    Index("issues_short_id", "short_id"),
)

groups = Table(
    "groups",
    metadata,
    *_keys("room", "issue"),
    *_columns(Text, "reason", "way", "status", "level", "threads", "mention", "mentioned"),
    *_columns(Float, "at", "notified_at", "last_sent", "span", "window", "repeat"),
    *_columns(Integer, "counted", "returns"),
    *_columns(BigInteger, "thread_root", "alert_id"),
    Column("events", BigInteger),
    Column("due", Float),
    Index("groups_issue", "issue"),
    Index("groups_due", "due"),
    Index("groups_at", "at"),
)

deferred = Table(
    "deferred",
    metadata,
    _number(),
    *_columns(Text, "room", "reason", "issue", "mention"),
    *_columns(Float, "due", "at"),
    *_columns(BigInteger, "silence", "alert_id"),
    Index("deferred_due", "due"),
    Index("deferred_room", "room", "reason"),
    Index("deferred_silence", "silence"),
)

silences = Table(
    "silences",
    metadata,
    _number(),
    *_columns(Text, "room", "matchers", "issue", "label", "author", "comment"),
    *_columns(Float, "made", "ends"),
    *_columns(Integer, "stage"),
    Index("silences_stage", "stage", "ends"),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    _number(),
    *_columns(Text, "room", "matchers", "author"),
    *_columns(Float, "made"),
    sqlite_autoincrement=True,  # people end them by number, so no number is given twice, as on PostgreSQL
)

digests = Table(
    "digests",
    metadata,
    *_keys("room"),
    *_columns(Text, "schedule"),
    *_columns(Float, "next_at", "since"),
)

polls = Table(
    "polls",
    metadata,
    *_keys("scope"),
    *_columns(Text, "error"),
    *_columns(Float, "baseline", "newest", "next_at", "answered_at"),
    *_columns(Integer, "complete", "fails"),
)

outbox = Table(
    "outbox",
    metadata,
    _number(),
    *_columns(Text, "state", "room", "issue", "threads", "mark", "mention", "kind"),
    *_columns(Text, "placement", "projects", "body", "sent_id", "owner", "error"),
    *_columns(Float, "next_try", "made", "lease"),
    *_columns(Integer, "alert_count", "tries"),
    *_columns(BigInteger, "alert_id", "thread_root"),
    Column("sent", Float),
    Index("outbox_queue", "state", "room", "id"),
    Index("outbox_made", "made"),
    Index("outbox_recent", "room", "placement", "made"),
    Index("outbox_thread", "room", "sent_id"),
)

made_once = Table("made_once", metadata, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))
# Notifications that went to the fallback or were considered for it; `id` is the message's id in the outbox.
fallbacks = Table(
    "fallbacks",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    *_columns(Text, "state", "taken"),
    *_columns(Float, "at", "since"),
    *_columns(Integer, "tries"),
    Column("went", Float),
    Index("fallbacks_state", "state"),
)

# Marks that are still to be written onto notifications; the number is that of the outbox.
edits = Table(
    "edits",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    *_columns(Text, "mark"),
    *_columns(Integer, "tries"),
    *_columns(Float, "next_try", "made", "lease"),
)

accounts = Table(
    "accounts",
    metadata,
    *_keys("acl"),
    *_columns(Text, "mail", "mention", "address", "teams"),
    *_columns(Float, "at"),
)
