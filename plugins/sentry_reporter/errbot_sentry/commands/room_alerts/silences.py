"""Handlers of `silence`, `silences` and `unsilence`: alerts that are not sent for a time, to one room or to all."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from errbot_sentry.alerting.decide.messages import shorten
from errbot_sentry.alerting.decide.muting import same_silence
from errbot_sentry.alerting.decide.visibility import shown_silence
from errbot_sentry.commands.command_context import CommandContext, ParsedCommand
from errbot_sentry.commands.parser import matchers, names_matchers, one_number
from errbot_sentry.commands.project_scope import projects_named, refuse_unknown_projects
from errbot_sentry.domain.conversation import Conversation, Invocation, View
from errbot_sentry.domain.errors import BadReference, NotAllowed, UsageError, UserError
from errbot_sentry.domain.issue_actions import IssueAction, SilenceFor
from errbot_sentry.domain.issues import Issue
from errbot_sentry.domain.text import read_duration, span_words, utc_time, write_duration
from errbot_sentry.store.records import Silence

_DURATION = re.compile(r"(?:^|\s)\W{1,2}d(?:uration)?[=\s\d]")  # `-d 2h`, as people and their phones type it
LONGEST_SILENCE = timedelta(days=365)
_AS_LONG = 60.0  # seconds: a silence that ends so little before the new one is the same, made by a second click
MOST_SILENCES = 50  # of one room; those for every room count as a room


def silence(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """Silence an issue, or all alerts with these values, for a time."""
    length, comment = typed.options.length, typed.options.comment
    if length is None and comment and _DURATION.search(comment):
        raise typed.mistake("Put -d before -c: everything behind -c is the comment.")
    if length is None:
        raise typed.mistake("For how long? Add a duration, such as -d 2h.")
    if names_matchers(typed.words):
        asked_for = matchers(typed, typed.words)
        refuse_unknown_projects(context.access, typed.conversation, context.find_server, projects_named(asked_for))
        chosen = tuple(str(matcher) for matcher in asked_for)
        yield _silenced(context, typed.invocation, chosen, None, comment, length)
        return
    if len(typed.words) > 1:
        raise typed.mistake("Silence one issue at a time, or give matchers.")
    if not typed.words and not typed.conversation.thread:
        raise typed.mistake("What should be silenced? Give matchers or an issue.")
    issue = context.finder.find(typed.words[0] if typed.words else "", typed.invocation)
    yield _silenced(context, typed.invocation, (), issue, comment, length)


def silence_issue(context: CommandContext, action: IssueAction, invocation: Invocation) -> Iterator[View]:
    """Silence the issue whose alert somebody clicked or reacted to."""
    if not isinstance(action.options, SilenceFor):
        raise UsageError("This reaction silences nothing.")
    issue = context.finder.find_by_id(action.issue_id, invocation)
    yield _silenced(context, invocation, (), issue, "", action.options.span)


def list_silences(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """List the silences that hold here."""
    now, here = context.clock.now().timestamp(), Conversation(context.room_name(typed.conversation))
    with context.store.read() as tx:
        present = [each for each in tx.silences.present() if each.ends > now]
    is_writer = context.access.may_write(typed.person)
    rows: list[dict[str, Any]] = []
    for each in present:
        shown = shown_silence(each, here, context.access, to_writer=is_writer)
        if shown is not None and _applies_here(context, each, typed.conversation):
            left = span_words(timedelta(seconds=round(each.ends - now))).removeprefix("a ").removeprefix("an ")
            rows.append({"number": each.id, "left": left, **asdict(shown)})
    context.lists.keep_aside(typed.conversation, typed.person, "", max((row["number"] for row in rows), default=0))
    yield View("sentry_silences", {"rows": rows})


def unsilence(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """End a silence."""
    number = one_number(typed)
    now = context.clock.now().timestamp()
    with context.store.write() as tx:
        found = tx.silences.get(number)
        if found is None or found.ends <= now or not _applies_here(context, found, typed.conversation):
            raise BadReference(f"There's no silence {number} here. `{context.prefix}sentry silences` lists them.")
        if not found.room and not typed.conversation.is_direct:
            raise NotAllowed("This silence applies to every room. End it in a direct message.")
        still = same_silence(tx.silences.present(), found, found.room, now)
        tx.silences.end(number, now)
    context.alert_flow().wake()
    until = f"; silence {still.id} goes on" if still is not None else ""
    yield View("sentry_alert_setting", {"kind": "Silence", "number": number, "label": "", "until": until})


def silence_length(word: str) -> timedelta:
    """How long a silence lasts. Raises ValueError with a sentence for the person."""
    length = read_duration(word)
    if not timedelta(0) < length <= LONGEST_SILENCE:
        raise ValueError("a silence lasts at least a second and at most a year")
    return length


def _silenced(
    context: CommandContext,
    invocation: Invocation,
    chosen: Sequence[str],
    issue: Issue | None,
    comment: str,
    length: timedelta,
) -> View:
    issue_id, label = ("", " ".join(chosen)) if issue is None else (issue.id, issue.short_id)
    now = context.clock.now().timestamp()
    ends = now + length.total_seconds()
    room, author = context.room_name(invocation.conversation), invocation.person.name
    made = Silence(room, tuple(chosen), issue_id, label, author, shorten(comment, 200), now, ends)
    with context.store.write() as tx:
        present = tx.silences.present()
        same = same_silence(present, made, room, max(now, ends - _AS_LONG))
        if same is not None:
            where = "here" if room else "in every room"
            raise UserError(f"This is silenced {where} already, until {utc_time(same.ends)}: silence {same.id}.")
        here = [each for each in present if each.room == room and each.ends > now]
        if len(here) >= MOST_SILENCES:
            raise UserError(
                f"There are {MOST_SILENCES} silences here. End one with `{context.prefix}sentry unsilence N` first."
            )
        number = tx.silences.add(made)
    context.alert_flow().routes.changed()
    context.alert_flow().wake()
    where = "" if room else "in every room "
    until = f"{where}for {write_duration(length)}, until {utc_time(ends)}"
    return View("sentry_alert_setting", {"kind": "Silence", "number": number, "label": label, "until": until})


def _applies_here(context: CommandContext, silence: Silence, conversation: Conversation) -> bool:
    return conversation.is_direct or silence.room in ("", context.room_name(conversation))
