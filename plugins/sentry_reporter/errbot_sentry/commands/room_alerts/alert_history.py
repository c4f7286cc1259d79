"""`alerts`, `route`: what became of a room's alerts, and what would become of one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from errbot_sentry.alerting.decide.decisions import WITHHELD
from errbot_sentry.alerting.decide.messages import list_row
from errbot_sentry.alerting.decide.routing import route_alert
from errbot_sentry.alerting.decide.visibility import may_see_now
from errbot_sentry.commands.command_context import CommandContext, ParsedCommand
from errbot_sentry.commands.parser import matchers, names_matchers
from errbot_sentry.config.matchers import FIELDS
from errbot_sentry.domain.alerts import ALERT_REASONS, NEW, Alert
from errbot_sentry.domain.conversation import View
from errbot_sentry.domain.durations import write_roughly
from errbot_sentry.domain.errors import UserError
from errbot_sentry.domain.issues import LEVELS
from errbot_sentry.domain.typed_text import echo, unquote
from errbot_sentry.store.records import issue_key


def list_alerts(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """`alerts`."""
    room = context.alert_room(typed.conversation, "Run this in the room whose alerts you want.")
    silenced = typed.options.silenced
    with context.store.read() as tx:
        found = tx.inbox.decided(room, typed.options.limit, [name.value for name in WITHHELD] if silenced else ())
        known = tx.issues.get_many([issue_key(each.alert) for each in found])
    now = context.clock.now().timestamp()
    rows = [
        {
            **list_row(each.alert),
            "name": each.name.replace("_", " "),
            "detail": each.detail,
            "age": write_roughly(timedelta(seconds=int(max(0.0, now - each.at)))),
        }
        for each in found
        if may_see_now(each.alert, known.get(issue_key(each.alert)), room, context.access)
    ]
    yield View("sentry_alerts", {"rows": rows, "silenced": silenced})


def dry_run(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """`route`."""
    alert = _imagined(context, typed)
    routes = context.alert_flow().routes
    routed = route_alert(alert, routes.settled, context.access, routes.subscribed())
    rows = [
        {"room": target.room, "why": target.label, "matchers": _matchers_of(target.route)} for target in routed.targets
    ]
    hidden = list(routed.hidden) if context.access.may_write(typed.person) else []
    yield View("sentry_routes", {"rows": rows, "hidden": hidden, "project": alert.project, "reason": alert.reason})


def _imagined(context: CommandContext, typed: ParsedCommand) -> Alert:
    """The alert that the words describe."""
    if not typed.words or names_matchers(typed.words):
        raise typed.mistake("For which project?")
    project = unquote(typed.words[0])
    if not context.access.may_see(project, typed.conversation):
        raise UserError(f"Project {echo(project)} not found here. List them with `{context.prefix}sentry projects`.")
    values: dict[str, Any] = {}
    tags = []
    for matcher in matchers(typed, typed.words[1:]):
        if matcher.operator != "=":
            raise typed.mistake("Use = for every value here.")
        if matcher.name.startswith("tag."):
            tags.append((matcher.name[4:], matcher.value))
        else:
            values[matcher.name] = matcher.value
    known = {name: value for name, value in values.items() if name in FIELDS and name not in ("issue", "project")}
    if known.get("level", LEVELS[0]) not in LEVELS:
        raise typed.mistake(f"Unknown level. Levels: {', '.join(LEVELS)}.")
    reason = known.pop("reason", NEW)
    if reason not in ALERT_REASONS:
        raise typed.mistake(f"Unknown reason. Reasons: {', '.join(ALERT_REASONS)}.")
    source = known.pop("source", "webhook")
    return Alert("dry-run", reason, source, context.clock.now(), project=project, tags=tuple(tags), **known)


def _matchers_of(route: Any) -> str:
    return " ".join(str(matcher) for matcher in route.matchers) if route is not None else ""
