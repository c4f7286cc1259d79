"""Handlers of the commands that change issues: `resolve`, `reopen`, `archive`, `assign`, `note` and others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from difflib import get_close_matches

from errbot_sentry.commands.accounts import linked_mail, read_mail
from errbot_sentry.commands.changes.bulk_change import (
    Change,
    carry_out,
    confirm_count,
    leave_note,
    signature,
    write_note,
)
from errbot_sentry.commands.changes.triage_options import read_resolve_in, read_until, resolve_in_words, until_words
from errbot_sentry.commands.command_context import CommandContext, ParsedCommand
from errbot_sentry.commands.issue_refs import is_reference
from errbot_sentry.commands.views import title_of
from errbot_sentry.domain.conversation import Invocation, Person, View
from errbot_sentry.domain.errors import BadReference, SentryReporterError, StoreError, UsageError, UserError
from errbot_sentry.domain.identifiers import small
from errbot_sentry.domain.issue_actions import Archive, IssueAction
from errbot_sentry.domain.issues import ARCHIVED, PRIORITIES, RESOLVED, UNRESOLVED, ArchiveUntil, Assignee, Issue
from errbot_sentry.domain.text import cut
from errbot_sentry.domain.typed_text import echo, leading_word, unquote
from errbot_sentry.server.protocol import Server

RESOLVE = Change(
    doing="Resolving",
    done="resolved",
    apply=lambda server, issue: server.resolve(issue),
    holds=lambda issue: issue.status == RESOLVED,
    skip=lambda issue: issue.status == RESOLVED,
)
REOPEN = Change(
    doing="Reopening",
    done="reopened",
    apply=lambda server, issue: server.reopen(issue),
    holds=lambda issue: issue.status == UNRESOLVED,
    skip=lambda issue: issue.status == UNRESOLVED,
    already="was open already",
)
_NOBODY = ("nobody", "noone", "no-one", "none", "unassigned")
_ASSIGNEES = "Use me, a mail address, team:slug or nobody."
_LONGEST_NOTE = 3500
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def resolve(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """Resolve issues now, or by a release or commit."""
    yield from _change(context, typed, _resolving(typed.options.resolve_in), typed.words)


def resolve_now(context: CommandContext, action: IssueAction, invocation: Invocation) -> Iterator[View]:
    """Resolve the issue whose alert somebody clicked or reacted to."""
    issue = context.finder.find_by_id(action.issue_id, invocation)
    yield from carry_out(context, RESOLVE, (issue,), invocation)


def reopen(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """Reopen resolved or archived issues."""
    yield from _change(context, typed, REOPEN, typed.words)


def reopen_now(context: CommandContext, action: IssueAction, invocation: Invocation) -> Iterator[View]:
    """Reopen the issue whose alert somebody clicked."""
    yield from carry_out(context, REOPEN, (context.finder.find_by_id(action.issue_id, invocation),), invocation)


def archive(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """Archive issues, for ever or until something happens."""
    until = read_until(typed.options.until, context.clock.now())
    yield from _change(context, typed, _archiving(until), typed.words)


def archive_now(context: CommandContext, action: IssueAction, invocation: Invocation) -> Iterator[View]:
    """Archive the issue whose alert somebody clicked."""
    if not isinstance(action.options, Archive):
        raise UsageError("This click archives nothing.")
    until = read_until(action.options.until, context.clock.now())
    issue = context.finder.find_by_id(action.issue_id, invocation)
    yield from carry_out(context, _archiving(until), (issue,), invocation)


def assign(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """Assign issues to a person, a team or nobody."""
    who = _assignee(context, typed, _last_word(typed, f"Who is it for? {_ASSIGNEES}"))
    yield from _change(context, typed, _assignment(context, who, typed.person), typed.words[:-1])


def acknowledge(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """Assign issues to the person who types `ack`: elsewhere it means that somebody works on a problem."""
    yield from _change(context, typed, _assignment(context, _me(context, typed.person), typed.person), typed.words)


def assign_to_me(context: CommandContext, action: IssueAction, invocation: Invocation) -> Iterator[View]:
    """Assign the issue to the person who clicked or reacted."""
    change = _assignment(context, _me(context, invocation.person), invocation.person)
    issue = context.finder.find_by_id(action.issue_id, invocation)
    yield from carry_out(context, change, (issue,), invocation)


def set_priority(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """Set the priority of issues."""
    wanted = _last_word(typed, f"Which priority? Use {', '.join(PRIORITIES)}.").lower()
    if wanted not in PRIORITIES:
        near = get_close_matches(wanted, PRIORITIES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"use {', '.join(PRIORITIES)}."
        raise typed.mistake(f"{echo(wanted)} isn't a valid priority; {hint}")
    yield from _change(context, typed, _prioritising(wanted), typed.words[:-1])


def note(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """Leave a note on an issue, signed by the person."""
    word, text = _reference_and_text(context, typed)
    if not text:
        raise typed.mistake("What should the note say?")
    if len(text) > _LONGEST_NOTE:
        raise UsageError(f"A note can have at most {_LONGEST_NOTE} characters.")
    issue = _noted_issue(context, typed, word)
    # A note is always signed, even without SENTRY_AUTHOR_NOTES: on the server the bot's account is its author.
    signed = f"{_CONTROLS.sub(' ', text)}\n\n— {signature(context, typed.person)}, from chat"
    write_note(context.find_server(), issue, signed)
    yield View("sentry_noted", {**_named(issue), "who": cut(typed.person.name, 60)})


def merge(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """Merge several issues into one."""
    issues = context.finder.find_all(typed.words, typed.invocation)
    if len(issues) < 2:
        raise typed.mistake("Name at least two issues.")
    if len({issue.project.id for issue in issues}) > 1:
        raise UserError("Only issues in the same project can be merged. Nothing changed.")
    confirm_count(len(issues), "Merging", typed.options.yes)
    server = context.find_server()
    who = cut(typed.person.name, 60)
    yield View("sentry_changing", {"doing": "Merging", "count": len(issues), "who": who, "at": 0})
    left = server.merge(issues)
    names = ", ".join(issue.short_id or issue.id for issue in issues)
    failed = leave_note(context, server, f"merged {names}", left, typed.invocation)
    noted = f"{failed[:1].upper()}{failed[1:]}." if failed else ""
    yield View("sentry_merged", {**_named(left), "names": cut(names, 300), "who": who, "note": noted})


def _change(context: CommandContext, typed: ParsedCommand, change: Change, words: Sequence[str]) -> Iterator[View]:
    issues = context.finder.find_all(words, typed.invocation)
    confirm_count(len(issues), change.doing, typed.options.yes)
    yield from carry_out(context, change, issues, typed.invocation)


def _named(issue: Issue) -> dict[str, object]:
    return {"id": cut(issue.short_id or issue.id, 60), "title": title_of(issue, 120), "link": issue.link}


def _last_word(typed: ParsedCommand, question: str) -> str:
    if not typed.words:
        raise typed.mistake(question)
    return unquote(typed.words[-1])


def _noted_issue(context: CommandContext, typed: ParsedCommand, word: str) -> Issue:
    """The issue that a word names. In a thread it may be part of the note instead, such as `UTF-8`."""
    try:
        return context.finder.find(word, typed.invocation)
    except BadReference as error:
        if word and context.finder.in_thread(typed.invocation):
            raise BadReference(f"{error} If the note begins with {echo(word)}, put -- before it.") from error
        raise


def _reference_and_text(context: CommandContext, typed: ParsedCommand) -> tuple[str, str]:
    """The REF and the text. In the thread of an alert the REF may be left out.

    There, a number at the beginning could be an issue or part of the text, so it is refused.
    """
    first, rest = leading_word(typed.text)
    if first == "--":
        return "", rest
    if not context.finder.in_thread(typed.invocation):
        return first, rest
    if first.isdigit():
        raise UsageError(
            f"Is {echo(first)} an issue, or does your note begin with it? Begin with -- for a note on this thread's "
            "issue, or give the short ID.",
        )
    return (first, rest) if first and is_reference(first) else ("", typed.text)


def _assignment(context: CommandContext, who: Assignee | None, person: Person) -> Change:
    change = _assigning(who)
    if who is not None and who.email and _is_own(context, who.email, person):
        change = _taking(context, change, who.email)
    return change


def _is_own(context: CommandContext, mail: str, person: Person) -> bool:
    with suppress(StoreError):  # at worst they are mentioned for what they did themselves
        return mail == linked_mail(context, person)
    return False


def _assignee(context: CommandContext, typed: ParsedCommand, word: str) -> Assignee | None:
    if word.lower() in _NOBODY:
        return None
    if word.lower() == "me":
        return _me(context, typed.person)
    if word.lower().startswith("team:") and len(word) > len("team:"):
        return Assignee("team", word[len("team:") :].removeprefix("#"))
    mail = read_mail(word)
    if mail is None:
        raise typed.mistake(f"Can't assign to {echo(word)}. {_ASSIGNEES}")
    return Assignee("user", mail, mail)


def _me(context: CommandContext, person: Person) -> Assignee:
    mail = linked_mail(context, person)
    if mail is None:
        raise UserError(f"You haven't linked a server account. Run `{context.prefix}sentry link MAIL` first.")
    return Assignee("user", mail, mail)


def _resolving(word: str | None) -> Change:
    if word is None:
        return RESOLVE
    when = read_resolve_in(word)
    return Change(
        doing="Resolving",
        done=resolve_in_words(when),
        apply=lambda server, issue: server.resolve_in(issue, when),
        holds=lambda issue: issue.status == RESOLVED,
        proves=lambda _before, _after: False,
    )


def _archiving(until: ArchiveUntil) -> Change:
    forever = until == ArchiveUntil()
    kind = "archived_until_escalating" if until.escalating else "archived_until_condition_met"

    def holds(issue: Issue) -> bool:
        """Whether it is archived; an archive without an end does not count if an end was asked for."""
        return issue.status == ARCHIVED and (forever or issue.substatus != "archived_forever")

    def proves(before: Issue, after: Issue) -> bool:
        """Whether a look at the issue proves the change: one that was archived before may still have its old end."""
        return forever or (before.status != ARCHIVED and after.substatus == kind)

    return Change(
        doing="Archiving",
        done=until_words(until),
        apply=lambda server, issue: server.archive(issue, until),
        holds=holds,
        proves=proves,
        skip=lambda issue: forever and issue.status == ARCHIVED and issue.substatus in (None, "archived_forever"),
    )


def _assigning(who: Assignee | None) -> Change:
    return Change(
        doing="Assigning",
        done="assigned to nobody" if who is None else f"assigned to {_who_words(who)}",
        apply=lambda server, issue: server.assign(issue, who),
        holds=lambda issue: _is_assigned(issue, who),
        proves=lambda _before, after: (
            who is None or who.kind == "team" or bool(after.assignee and after.assignee.email)
        ),
    )


def _taking(context: CommandContext, change: Change, mail: str) -> Change:
    """An assignment to the person who asks for it. The server's webhook may come before its answer does, so the state
    has it first that they need not be mentioned."""

    def remember(issue: Issue, owner: str) -> None:
        with suppress(StoreError), context.store.write() as tx:
            tx.groups.set_mentioned_everywhere(issue.id, owner)

    def apply(server: Server, issue: Issue) -> Issue:
        remember(issue, mail)
        try:
            return change.apply(server, issue)
        except SentryReporterError:
            remember(issue, "")
            raise

    return replace(change, apply=apply)


def _who_words(who: Assignee) -> str:
    return f"team {cut(who.name, 80)}" if who.kind == "team" else cut(who.email, 100)


def _is_assigned(issue: Issue, who: Assignee | None) -> bool:
    """Whether the issue shows this assignee; a server that does not tell the mail address is taken at its word."""
    found = issue.assignee
    if who is None or found is None:
        return who is found
    if found.kind != who.kind:
        return False
    if who.kind == "team":
        return who.name.casefold() in (found.name.casefold(), found.id.casefold())
    return not found.email or small(found.email) == small(who.email)


def _prioritising(wanted: str) -> Change:
    return Change(
        doing="Changing the priority of",
        done=f"given {wanted} priority",
        apply=lambda server, issue: server.set_priority(issue, wanted),
        holds=lambda issue: issue.priority == wanted,
        skip=lambda issue: issue.priority == wanted,
        already=f"has {wanted} priority already",
    )
