"""Changes one issue after the other, checks each change, and reports what became of every issue.

IssueFinder has found all issues, and checked that they may be shown here, before the first one is changed.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from errbot_sentry.commands.accounts import linked_mail
from errbot_sentry.commands.command_context import CommandContext
from errbot_sentry.commands.views import status_words, title_of
from errbot_sentry.domain.conversation import Invocation, Person, View
from errbot_sentry.domain.errors import (
    BadAnswer,
    BadToken,
    MissingScope,
    NotAsAsked,
    RateLimited,
    ServerError,
    StoreError,
    Unsupported,
    UsageError,
)
from errbot_sentry.domain.issues import Issue
from errbot_sentry.domain.text import cut, in_lines
from errbot_sentry.server.http.failures import OUTCOME_UNKNOWN
from errbot_sentry.server.protocol import Server

log = logging.getLogger(__name__)

WITHOUT_YES = 10
_PROGRESS_SECONDS = 10.0  # seconds until the first message about progress; then twice as long each time
_MOST_LOST = 3  # each may take the whole time of a call
_MOST_ALIKE = 3
_RATE_WAIT = 5.0  # after a 429 that does not say how long
_LONGEST_RATE_WAIT = 180.0  # of one command, in all

DONE, ALREADY, FAILED, UNSURE, UNTRIED = "done", "already", "failed", "unsure", "untried"


@dataclass(frozen=True)
class Change:
    """A change of an issue.

    Args:
        doing: "Resolving", to announce several.
        done: "resolved", for the outcome and the note.
        apply: makes the change; returns the issue as the server has it afterwards.
        holds: whether an issue shows the change.
        proves: whether the issue before and after prove that exactly this change was made. An issue does not show the
            end of an archive, or the release of a resolution.
        skip: whether an issue needs no change, so that the server is not asked.
        already: what to say then, if "was … already" does not fit.
    """

    doing: str
    done: str
    apply: Callable[[Server, Issue], Issue]
    holds: Callable[[Issue], bool]
    proves: Callable[[Issue, Issue], bool] = lambda _before, _after: True
    skip: Callable[[Issue], bool] = lambda _: False
    already: str = ""


@dataclass(frozen=True)
class ChangeOutcome:
    """What became of one issue; `words` follow its id in a sentence. `lost`: the server's answer did not come."""

    kind: str
    issue: Issue
    words: str
    lost: bool = False


@dataclass(frozen=True)
class OutcomeLine:
    """An outcome as templates show it."""

    kind: str
    id: str
    link: str
    title: str
    words: str


def confirm_count(count: int, doing: str, yes: bool) -> None:
    """Raise UsageError if there are many issues and `--yes` was not typed."""
    if count > WITHOUT_YES and not yes:
        raise UsageError(f"{doing} {count} issues: add --yes if that is what you mean.")


def carry_out(
    context: CommandContext, change: Change, issues: Sequence[Issue], invocation: Invocation
) -> Iterator[View]:
    """Change each issue. Yields the number of issues, sometimes the progress, and at last the outcomes.

    Raises:
        Unsupported: this kind of server cannot do it; nothing was changed.
    """
    server = context.find_server()
    who = cut(invocation.person.name, 60)
    if len(issues) > 1:
        yield View("sentry_changing", {"doing": change.doing, "count": len(issues), "who": who, "at": 0})
    outcomes: list[ChangeOutcome] = []
    said, quiet = context.clock.monotonic(), _PROGRESS_SECONDS
    stopped = ""
    patience = _LONGEST_RATE_WAIT if len(issues) > 1 else 0.0
    for issue in issues:
        if stopped or sum(outcome.lost for outcome in outcomes) >= _MOST_LOST:
            outcomes.append(ChangeOutcome(UNTRIED, issue, "not tried"))
            continue
        while True:
            outcome, stopped, wait = _change_one(context, server, change, issue, invocation, first=not outcomes)
            if wait is None or wait > patience:
                break
            # A request that got a 429 has changed nothing, so it may be sent again.
            patience -= wait
            yield View(
                "sentry_changing",
                {"doing": change.doing, "count": len(issues), "at": len(outcomes), "wait": math.ceil(wait)},
            )
            context.sleep(wait)
        outcomes.append(outcome)
        if outcome.kind == DONE:
            context.changed(outcome.issue, invocation.conversation)
        if context.clock.monotonic() - said >= quiet and len(outcomes) < len(issues):
            said, quiet = context.clock.monotonic(), quiet * 2
            values: dict[str, object] = {"doing": change.doing, "count": len(issues), "at": len(outcomes)}
            yield View("sentry_changing", values)
    yield _result(change, outcomes, who)


def _change_one(
    context: CommandContext, server: Server, change: Change, issue: Issue, invocation: Invocation, *, first: bool
) -> tuple[ChangeOutcome, str, float | None]:
    """Change one issue.

    Returns:
        The outcome, the reason to leave out all further issues ("" for none), and the seconds after which to try this
        one again (None: not again).
    """
    if change.skip(issue):
        return ChangeOutcome(ALREADY, issue, change.already or f"was {change.done} already"), "", None
    try:
        after = change.apply(server, issue)
    except Unsupported as error:
        if first:
            raise
        return ChangeOutcome(FAILED, issue, f"not changed: {str(error).rstrip('.')}"), "", None
    except ServerError as error:
        log.warning("Changing issue %s failed: %s (cause: %r)", issue.id, error, error.__cause__)
        wait = (error.wait or _RATE_WAIT) if isinstance(error, RateLimited) else None
        return *_after_failure(context, server, change, issue, invocation, error), wait
    if not change.holds(after):
        log.warning("Changing issue %s failed: the server still says %s", issue.id, status_words(after))
        return ChangeOutcome(FAILED, after, f"not changed: the server still says {status_words(after)}"), "", None
    return ChangeOutcome(DONE, after, _done(context, server, change, after, invocation)), "", None


def _after_failure(
    context: CommandContext, server: Server, change: Change, issue: Issue, invocation: Invocation, error: ServerError
) -> tuple[ChangeOutcome, str]:
    """The outcome after an error: a refusal says enough; if the answer was lost, the issue is read again."""
    if isinstance(error, NotAsAsked):
        return ChangeOutcome(FAILED, issue, f"not changed as asked: {_clause(error)}"), ""
    if not _answer_lost(error):
        stop = str(error) if isinstance(error, (RateLimited, BadToken, MissingScope)) else ""
        return ChangeOutcome(FAILED, issue, f"not changed: {_clause(error)}"), stop
    try:
        found = server.issue(issue.id)
    except ServerError:
        return ChangeOutcome(UNSURE, issue, f"perhaps {change.done}, perhaps not: {_clause(error)}", lost=True), str(
            error
        )
    if not change.holds(found):
        return ChangeOutcome(FAILED, found, f"not changed: {_clause(error)}", lost=True), ""
    if not change.proves(issue, found):
        seen = f"it is {status_words(found)} now"
        return ChangeOutcome(
            UNSURE, found, f"perhaps {change.done}, perhaps not: {_clause(error)}, and {seen}", lost=True
        ), ""
    return ChangeOutcome(DONE, found, _done(context, server, change, found, invocation), lost=True), ""


def leave_note(context: CommandContext, server: Server, done: str, issue: Issue, invocation: Invocation) -> str:
    """Leave the note that says who asked, if SENTRY_AUTHOR_NOTES is on; returns what to say if that failed."""
    if not context.settings.author_notes:
        return ""
    try:
        write_note(server, issue, _author_note(context, done, invocation))
    except Unsupported:
        return ""
    except ServerError as error:
        log.warning("No note could be left on issue %s: %s (cause: %r)", issue.id, error, error.__cause__)
        perhaps = "may be missing" if _answer_lost(error) else "could not be left"
        return f"the note about who asked {perhaps}: {_clause(error)}"
    return ""


def write_note(server: Server, issue: Issue, text: str) -> None:
    """Leave a note. If the answer is lost, the server's list of notes shows whether the note is there.

    Raises:
        ServerError: the note is not there, or that is unknown.
    """
    try:
        server.note(issue, text)
    except ServerError as error:
        if not _answer_lost(error):
            raise
        with suppress(ServerError, Unsupported):
            if any(_same_text(comment.text, text) for comment in server.comments(issue)):
                return
        raise


def _answer_lost(error: ServerError) -> bool:
    """Whether the server may have made the change although no answer came."""
    return not isinstance(error, RateLimited) and (error.retry or isinstance(error, BadAnswer))


def _same_text(one: str, other: str) -> bool:
    return one.split() == other.split()


def signature(context: CommandContext, person: Person) -> str:
    """The person's name in chat, with their mail address on the server if it is linked."""
    try:
        mail = linked_mail(context, person)
    except StoreError as error:
        # The change was made: that must be reported, whatever else fails.
        log.warning("The mail address of a person could not be read: %s (cause: %r)", error, error.__cause__)
        mail = None
    return cut(person.name, 80) + (f" ({mail})" if mail else "")


def _author_note(context: CommandContext, done: str, invocation: Invocation) -> str:
    """The note about who asked for a change, where and when. Sentry refuses the same note twice in an hour."""
    place = invocation.conversation
    where = "in a direct message" if place.is_direct else f"in {cut(place.room, 80)}"
    at = context.clock.now().strftime("%Y-%m-%d %H:%M UTC")
    return f"{done[:1].upper()}{done[1:]} from chat, asked by {signature(context, invocation.person)} {where}, {at}."


def _done(context: CommandContext, server: Server, change: Change, issue: Issue, invocation: Invocation) -> str:
    """What was done, and if the note could not be left, that too."""
    failed = leave_note(context, server, change.done, issue, invocation)
    return f"{change.done} ({failed})" if failed else change.done


def _clause(error: ServerError) -> str:
    """The error's sentence where more follows it; what nobody knew about the change is known by a look since."""
    return str(error).removesuffix(OUTCOME_UNKNOWN).rstrip(".")


def _result(change: Change, outcomes: Sequence[ChangeOutcome], who: str) -> View:
    """Each outcome on a line of its own; of many, those that succeeded share lines."""
    alike = Counter(outcome.words for outcome in outcomes if outcome.kind in (FAILED, UNSURE))
    often = {words for words, count in alike.items() if count > _MOST_ALIKE and len(outcomes) > WITHOUT_YES}
    alone = [
        outcome
        for outcome in outcomes
        if len(outcomes) <= WITHOUT_YES or (outcome.kind in (FAILED, UNSURE) and outcome.words not in often)
    ]
    together = {
        kind: [_shown_id(outcome.issue) for outcome in outcomes if outcome.kind == kind and outcome not in alone]
        for kind in (DONE, ALREADY, UNTRIED)
    }
    noteless = sum(1 for outcome in outcomes if outcome.kind == DONE and outcome.words != change.done)
    return View(
        "sentry_changed",
        {
            "who": who,
            "lines": [_line(outcome) for outcome in alone],
            "done": change.done,
            "done_ids": in_lines(together[DONE]),
            "done_count": len(together[DONE]),
            "already_ids": in_lines(together[ALREADY]),
            "already_count": len(together[ALREADY]),
            "untried_ids": in_lines(together[UNTRIED]),
            "untried_count": len(together[UNTRIED]),
            "failed": [
                (
                    alike[words],
                    words,
                    in_lines(_shown_id(outcome.issue) for outcome in outcomes if outcome.words == words),
                )
                for words in alike
                if words in often
            ],
            "noteless": noteless if len(outcomes) > WITHOUT_YES else 0,
        },
        done=all(outcome.kind in (DONE, ALREADY) for outcome in outcomes),
    )


def _line(outcome: ChangeOutcome) -> OutcomeLine:
    issue = outcome.issue
    return OutcomeLine(outcome.kind, _shown_id(issue), issue.link, title_of(issue, 120), outcome.words)


def _shown_id(issue: Issue) -> str:
    return cut(issue.short_id or issue.id, 60)
