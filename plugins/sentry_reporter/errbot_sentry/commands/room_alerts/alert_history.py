"""Handlers of `alerts` and `route`: what became of a room's alerts, and where an alert would go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from errbot_sentry.alerting.decide.decisions import WITHHELD, DecisionName
from errbot_sentry.alerting.decide.messages import list_row, shown_values
from errbot_sentry.alerting.decide.muting import SilenceIndex
from errbot_sentry.alerting.decide.route_table import RouteTable
from errbot_sentry.alerting.decide.routing import Target, route_alert
from errbot_sentry.alerting.decide.visibility import may_name, may_see_now
from errbot_sentry.commands.command_context import CommandContext, ParsedCommand
from errbot_sentry.commands.parser import matchers, names_matchers
from errbot_sentry.commands.project_scope import refuse_unknown_projects
from errbot_sentry.commands.room_alerts.undelivered import list_undelivered
from errbot_sentry.config.facts import EVENT, FRAMES, ISSUE, never_known
from errbot_sentry.config.matchers import AMOUNTS
from errbot_sentry.config.routes import Route
from errbot_sentry.domain.alerts import ALERT_REASONS, NEW, Alert
from errbot_sentry.domain.conversation import View, address_of
from errbot_sentry.domain.errors import ServerError, UserError
from errbot_sentry.domain.text import read_duration, utc_time, write_roughly
from errbot_sentry.domain.typed_text import echo, unquote
from errbot_sentry.reporting.redact.event_masking import masked_title
from errbot_sentry.store.records import issue_key


def list_alerts(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """List the room's latest alerts with what became of each."""
    if typed.options.undelivered:
        yield list_undelivered(context, typed)
        return
    room = context.alert_room(typed.conversation, "Run this in the room whose alerts you want.")
    silenced = typed.options.silenced
    with context.store.read() as tx:
        found = tx.inbox.decided(room, typed.options.limit, [name.value for name in WITHHELD] if silenced else ())
        known = tx.issues.get_many([issue_key(each.alert) for each in found])
    now = context.clock.now().timestamp()
    rows = [
        {
            **shown_values(list_row(each.alert), masked_title),
            "name": each.name.replace("_", " "),
            "sentence": _SENTENCES.get(each.name, ""),
            "detail": each.detail,
            "age": write_roughly(timedelta(seconds=int(max(0.0, now - each.at)))),
        }
        for each in found
        if may_see_now(each.alert, known.get(issue_key(each.alert)), room, context.access)
    ]
    yield View("sentry_alerts", {"rows": rows, "silenced": silenced})


_SENTENCES = {name.value: name.sentence for name in DecisionName}


def dry_run(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """Show which rooms an alert with these values would reach, without sending anything."""
    alert = _imagined(context, typed)
    routes, now = context.alert_flow().routes, context.clock.now().timestamp()
    kind = _kind(context)
    # Subscriptions of other people in direct messages are not shown.
    shown = [route for route in routes.all() if _concerns(route, typed)]
    subscribed = [route for route in routes.subscribed() if _concerns(route, typed)]
    routed = route_alert(alert, routes.settled, context.access, subscribed, kind)
    with context.store.read() as tx:
        silences = SilenceIndex(tx.silences.present())
    buts = [(target, _not_now(silences, routes, alert, target.room, now)) for target in routed.targets]
    buts += [(target, f"depends on its {', '.join(names)}") for target, names in routed.undecided.items()]
    rows = [{**_row(target, typed, context), "but": but} for target, but in buts]
    hidden = list(routed.hidden) if context.access.may_write(typed.person) else []
    never = [
        sentence
        for route in shown
        if may_name(route.matchers, typed.conversation, context.access)
        for sentence in never_known(route.matchers, kind)
    ]
    asked_for = (
        matcher.name
        for route in shown
        if not rows and may_name(route.matchers, typed.conversation, context.access)
        for matcher in route.matchers
        if matcher.name not in ("project", "issue", "reason", "source")
    )
    said = {word.partition("=")[0] for word in typed.words}
    untyped = [name for name in dict.fromkeys(asked_for) if name not in said]
    values = {"rows": rows, "hidden": hidden, "never": list(dict.fromkeys(never)), "untyped": ", ".join(untyped[:5])}
    yield View("sentry_routes", {**values, "project": alert.project, "reason": alert.reason})


def _concerns(route: Route, typed: ParsedCommand) -> bool:
    return all(room == typed.conversation.room for room in route.rooms if address_of(room))


def _row(target: Target, typed: ParsedCommand, context: CommandContext) -> dict[str, str]:
    """A room with its route. Matchers that name a project which must not be shown here are left out."""
    wanted = target.route.matchers if target.route is not None else ()
    matched = " ".join(map(str, wanted)) if may_name(wanted, typed.conversation, context.access) else ""
    room = "you" if address_of(target.room) else target.room
    return {"room": room, "why": target.label, "matchers": matched}


def _not_now(silences: SilenceIndex, routes: RouteTable, alert: Alert, room: str, now: float) -> str:
    """Why the room would get nothing now; "" if it would get the alert."""
    silence, quiet = silences.of(alert, room, now), routes.quiet_until(room, now)
    if silence is not None:
        return f"silenced by silence {silence.id} until {utc_time(silence.ends)}"
    return f"in quiet hours, sent at {utc_time(quiet)}" if quiet is not None else ""


def _imagined(context: CommandContext, typed: ParsedCommand) -> Alert:
    """The alert that the typed words describe."""
    if not typed.words or names_matchers(typed.words):
        raise typed.mistake("For which project?")
    project = unquote(typed.words[0])
    # Not as for a silence, which may name any project in a direct message: the reply would tell a hidden one.
    refuse_unknown_projects(context.access, typed.conversation, context.find_server, [project], is_own=True)
    if not context.access.may_see(project, typed.conversation):
        raise UserError(f"Project {echo(project)} not found here. List them with `{context.prefix}sentry projects`.")
    now = context.clock.now()
    words = [unquote(word) for word in typed.words[1:]]
    values = _values(typed, [word for word in words if not word.startswith("age=")])
    for word in (each for each in words if each.startswith("age=")):
        try:
            values["first_seen"] = (now - read_duration(word.removeprefix("age="))).timestamp()
        except ValueError as error:
            raise typed.mistake(f"{error}.") from error
    reason = values.pop("reason", NEW)
    if reason not in ALERT_REASONS:
        raise typed.mistake(f"Unknown reason. Reasons: {', '.join(ALERT_REASONS)}.")
    source = values.pop("source", "webhook")
    # A value that was not typed counts as empty. But nobody knows how many events a real problem will have.
    asked = f"{ISSUE} {EVENT} {FRAMES}"
    return Alert("dry-run", reason, source, now, project=project, asked=asked, **values)


def _values(typed: ParsedCommand, words: Sequence[str]) -> dict[str, Any]:
    """The fields of an alert that these matchers describe."""
    values: dict[str, Any] = {"tags": ()}
    for matcher in matchers(typed, words):
        if matcher.operator != "=":
            raise typed.mistake("Use = for every value here.")
        if matcher.name.startswith("tag."):
            values["tags"] += ((matcher.name.removeprefix("tag."), matcher.value),)
        elif matcher.name == "assignee":
            kind, _, values["assignee"] = matcher.value.rpartition(":")
            values["assignee_kind"] = kind or "user"
        elif matcher.name not in ("issue", "project"):
            values[matcher.name] = int(matcher.value) if matcher.name in AMOUNTS else matcher.value
    return values


def _kind(context: CommandContext) -> str:
    """The kind of the server; if it does not answer, the kind that was last known."""
    try:
        return context.find_server().kind
    except ServerError:
        return context.alert_flow().kind()
