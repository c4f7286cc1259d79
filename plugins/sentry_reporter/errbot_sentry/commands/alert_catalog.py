"""The commands of the alert flow, as people see them."""

from __future__ import annotations

from errbot_sentry.commands.registry import ALERTS, Command

COMMANDS: tuple[Command, ...] = (
    Command(
        "alerts",
        "sentry alerts [--silenced] [-n 10]",
        "the last alerts for this room, those held back included, each with what became of it",
        ("sentry alerts", "sentry alerts --silenced -n 20"),
        ALERTS,
    ),
    Command(
        "route",
        "sentry route PROJECT [level=error] [environment=…] [reason=new] [tag.KEY=…]",
        "dry run: which rooms would get such an alert, and why",
        ("sentry route web level=error environment=production",),
        ALERTS,
    ),
    Command(
        "subscriptions", "sentry subscriptions", "the subscriptions of this room", ("sentry subscriptions",), ALERTS
    ),
    Command("silences", "sentry silences", "the silences that hold here", ("sentry silences",), ALERTS),
    Command(
        "subscribe",
        "sentry subscribe [MATCHERS]",
        "alerts for the room where it is typed",
        ("sentry subscribe project=web-* level>=error", 'sentry subscribe title=~"Timeout.*"'),
        ALERTS,
        writers_only=True,
    ),
    Command(
        "unsubscribe",
        "sentry unsubscribe N",
        "end a subscription",
        ("sentry unsubscribe 3",),
        ALERTS,
        writers_only=True,
    ),
    Command(
        "silence",
        "sentry silence MATCHERS|REF -d 2h [-c why]",
        "hold alerts back for a time; in a direct message for every room",
        ("sentry silence WEB-1A -d 2h -c deploying", "sentry silence project=web environment=staging -d 1d"),
        ALERTS,
        writers_only=True,
    ),
    Command("unsilence", "sentry unsilence N", "end a silence now", ("sentry unsilence 3",), ALERTS, writers_only=True),
    Command(
        "digest",
        "sentry digest [daily HH:MM|weekly DAY HH:MM|off|now] [ZONE]",
        "a regular report for this room",
        ("sentry digest daily 09:00 Europe/Paris", "sentry digest weekly mon 09:00", "sentry digest now"),
        ALERTS,
        writers_only=True,
    ),
)
