"""`resolve`, `reopen`, `archive`, `assign`, `priority`: changes of one issue or of several, for SENTRY_WRITERS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from difflib import get_close_matches

from errbot_sentry.commands.account_proof import People, read_mail
from errbot_sentry.commands.bulk_change import Change, carry_out, confirm_count
from errbot_sentry.commands.command_context import CommandContext
from errbot_sentry.commands.parser import OptionParser
from errbot_sentry.commands.project_scope import check_writer
from errbot_sentry.commands.triage_options import read_resolve_in, read_until, resolve_in_words, until_words
from errbot_sentry.commands.typed_words import unquote
from errbot_sentry.domain.conversation import Invocation, View
from errbot_sentry.domain.errors import SentryReporterError, StoreError, UsageError, UserError
from errbot_sentry.domain.issue_actions import AssignToMe, IssueAction, ResolveNow
from errbot_sentry.domain.issues import ARCHIVED, PRIORITIES, RESOLVED, UNRESOLVED, ArchiveUntil, Assignee, Issue
from errbot_sentry.domain.text import cut
from errbot_sentry.domain.typed_text import echo
from errbot_sentry.server.protocol import BUGSINK, Server

RESOLVE = Change(
    doing="Resolving",
    done="resolved",
    apply=lambda server, issue: server.resolve(issue),
    holds=lambda issue: issue.status == RESOLVED,
    skip=lambda issue: issue.status == RESOLVED,
)
REOPEN = Change(
    doing="Reopening",
    done="open again",
    apply=lambda server, issue: server.reopen(issue),
    holds=lambda issue: issue.status == UNRESOLVED,
    skip=lambda issue: issue.status == UNRESOLVED,
    already="was open already",
)
_NOBODY = ("nobody", "noone", "no-one", "none", "unassigned")


class Changing:
    """The commands that change issues; each checks the person before anything else."""

    def __init__(self, context: CommandContext) -> None:
        self._context = context

    def resolve(self, invocation: Invocation) -> Iterator[View]:
        check_writer(self._context.access, invocation.person)
        options, words = self._context.parser("resolve", _describe_resolve).read(invocation.words)
        yield from self._change(_resolving(options.resolve_in), words, invocation, options.yes)

    def act(self, action: IssueAction, invocation: Invocation) -> Iterator[View]:
        """Carry out an action on the one issue that it names."""
        check_writer(self._context.access, invocation.person)
        if isinstance(action.options, ResolveNow):
            change = RESOLVE
        elif isinstance(action.options, AssignToMe):
            change = self._assignment(self._me(invocation), invocation)
        else:
            raise UsageError("That is no change of an issue.")
        yield from carry_out(
            self._context, change, (self._context.finder.find_by_id(action.issue_id, invocation),), invocation
        )

    def reopen(self, invocation: Invocation) -> Iterator[View]:
        check_writer(self._context.access, invocation.person)
        options, words = self._context.parser("reopen", _describe).read(invocation.words)
        yield from self._change(REOPEN, words, invocation, options.yes)

    def archive(self, invocation: Invocation) -> Iterator[View]:
        check_writer(self._context.access, invocation.person)
        options, words = self._context.parser("archive", _describe_archive).read(invocation.words)
        until = read_until(unquote(options.until), self._context.clock.now())
        yield from self._change(_archiving(until), words, invocation, options.yes)

    def assign(self, invocation: Invocation) -> Iterator[View]:
        check_writer(self._context.access, invocation.person)
        options, words = self._context.parser("assign", _describe).read(invocation.words)
        who = self._who(
            self._last("assign", words, "Who is it for? me, a mail address, team:slug or nobody."), invocation
        )
        yield from self._change(self._assignment(who, invocation), words[:-1], invocation, options.yes)

    def priority(self, invocation: Invocation) -> Iterator[View]:
        check_writer(self._context.access, invocation.person)
        options, words = self._context.parser("priority", _describe).read(invocation.words)
        wanted = self._last("priority", words, f"Which priority? {', '.join(PRIORITIES)}.").lower()
        if wanted not in PRIORITIES:
            near = get_close_matches(wanted, PRIORITIES, n=1)
            hint = f"did you mean {near[0]}?" if near else f"wanted is {', '.join(PRIORITIES)}."
            raise UsageError(f"{echo(wanted)} is no priority: {hint}", self._context.usage("priority"))
        yield from self._change(_prioritising(wanted), words[:-1], invocation, options.yes)

    def _change(self, change: Change, words: Sequence[str], invocation: Invocation, yes: bool) -> Iterator[View]:
        issues = self._context.finder.find_all(words, invocation)
        confirm_count(len(issues), change.doing, yes)
        yield from carry_out(self._context, change, issues, invocation)

    def _last(self, name: str, words: Sequence[str], question: str) -> str:
        if not words:
            raise UsageError(question, self._context.usage(name))
        return unquote(words[-1])

    def _assignment(self, who: Assignee | None, invocation: Invocation) -> Change:
        change = _assigning(who)
        if who is not None and who.email and self._is_own(who.email, invocation):
            change = _taking(change, who.email, self._context.people)
        return change

    def _is_own(self, mail: str, invocation: Invocation) -> bool:
        with suppress(StoreError):  # then they are called for their own deed, and nothing worse
            return mail == self._context.people.mail_of(invocation.person.acl)
        return False

    def _who(self, word: str, invocation: Invocation) -> Assignee | None:
        if word.lower() in _NOBODY:
            return None
        if word.lower() == "me":
            return self._me(invocation)
        if word.lower().startswith("team:") and len(word) > len("team:"):
            return Assignee("team", word[len("team:") :].removeprefix("#"))
        mail = read_mail(word)
        if mail is None:
            raise UsageError(
                f"{echo(word)} is nobody I can assign to: me, a mail address, team:slug or nobody.",
                self._context.usage("assign"),
            )
        return Assignee("user", mail, mail)

    def _me(self, invocation: Invocation) -> Assignee:
        mail = self._context.people.mail_of(invocation.person.acl)
        if mail is None and self._context.find_server().kind == BUGSINK:
            return Assignee("user", "")  # it has no assignees at all, and says so
        if mail is None:
            raise UserError(
                f"I do not know yet who you are on the server: {self._context.prefix}sentry link MAIL tells how to "
                "prove it."
            )
        return Assignee("user", mail, mail)


def _resolving(word: str | None) -> Change:
    if word is None:
        return RESOLVE
    when = read_resolve_in(unquote(word))
    return Change(
        doing="Resolving",
        done=resolve_in_words(when),
        apply=lambda server, issue: server.resolve_in(issue, when),
        holds=lambda issue: issue.status == RESOLVED,
        proves=lambda _before, _after: False,
    )


def _archiving(until: ArchiveUntil) -> Change:
    for_ever = until == ArchiveUntil()
    kind = "archived_until_escalating" if until.escalating else "archived_until_condition_met"

    def holds(issue: Issue) -> bool:
        """An archive that is for ever although an end was asked for is not what was asked."""
        return issue.status == ARCHIVED and (for_ever or issue.substatus != "archived_forever")

    def proves(before: Issue, after: Issue) -> bool:
        """An issue that was archived before may have kept its old end."""
        return for_ever or (before.status != ARCHIVED and after.substatus == kind)

    return Change(
        doing="Archiving",
        done=until_words(until),
        apply=lambda server, issue: server.archive(issue, until),
        holds=holds,
        proves=proves,
        skip=lambda issue: for_ever and issue.status == ARCHIVED and issue.substatus in (None, "archived_forever"),
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


def _taking(change: Change, mail: str, people: People) -> Change:
    """The assignment to the person who asks for it. The server's webhook may come before its answer does, so it is
    noted first that they need not be called."""

    def note(issue: Issue, owner: str) -> None:
        with suppress(StoreError):
            people.takes(issue.id, owner)

    def apply(server: Server, issue: Issue) -> Issue:
        note(issue, mail)
        try:
            return change.apply(server, issue)
        except SentryReporterError:
            note(issue, "")
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
    return not found.email or found.email.casefold() == who.email


def _prioritising(wanted: str) -> Change:
    return Change(
        doing="Changing the priority of",
        done=f"given {wanted} priority",
        apply=lambda server, issue: server.set_priority(issue, wanted),
        holds=lambda issue: issue.priority == wanted,
        skip=lambda issue: issue.priority == wanted,
        already=f"is of {wanted} priority already",
    )


def _describe(parser: OptionParser) -> None:
    parser.add_argument("-y", "--yes", action="store_true")


def _describe_resolve(parser: OptionParser) -> None:
    _describe(parser)
    parser.add_argument("-i", "--in", dest="resolve_in", default=None)


def _describe_archive(parser: OptionParser) -> None:
    _describe(parser)
    parser.add_argument("-u", "--until", default="forever")
