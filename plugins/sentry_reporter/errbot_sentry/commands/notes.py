"""`note` and `merge`: what is done once, not issue by issue."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

from errbot_sentry.commands.bulk_change import asked_by, author_note, confirm_count
from errbot_sentry.commands.command_context import CommandContext
from errbot_sentry.commands.parser import OptionParser
from errbot_sentry.commands.project_scope import check_writer
from errbot_sentry.commands.typed_words import leading_word
from errbot_sentry.commands.views import title_of
from errbot_sentry.domain.conversation import Invocation, View
from errbot_sentry.domain.errors import BadReference, ServerError, Unsupported, UsageError, UserError
from errbot_sentry.domain.issues import Issue
from errbot_sentry.domain.text import cut
from errbot_sentry.domain.typed_text import echo

log = logging.getLogger(__name__)

_LONGEST_NOTE = 3500
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class Noting:
    """The commands that leave a note on an issue and make one of several."""

    def __init__(self, context: CommandContext) -> None:
        self._context = context

    def note(self, invocation: Invocation) -> Iterator[View]:
        check_writer(self._context.access, invocation.person)
        word, text = self._split(invocation)
        if not text:
            raise UsageError("What should the note say?", self._context.usage("note"))
        if len(text) > _LONGEST_NOTE:
            raise UsageError(f"A note has at most {_LONGEST_NOTE} characters.")
        issue = self._find(word, invocation)
        # Always signed, also without SENTRY_AUTHOR_NOTES: on the server, the bot's account is the author.
        signed = f"{_CONTROLS.sub(' ', text)}\n\n— {asked_by(self._context, invocation)}, from chat"
        self._context.find_server().note(issue, signed)
        yield View(
            "sentry_noted",
            {
                "id": cut(issue.short_id or issue.id, 60),
                "title": title_of(issue, 120),
                "link": issue.link,
                "who": cut(invocation.person.name, 60),
            },
        )

    def merge(self, invocation: Invocation) -> Iterator[View]:
        check_writer(self._context.access, invocation.person)
        options, words = self._context.parser("merge", _describe).read(invocation.words)
        issues = self._context.finder.find_all(words, invocation)
        if len(issues) < 2:
            raise UsageError("Wanted are two issues or more.", self._context.usage("merge"))
        if len({issue.project.id for issue in issues}) > 1:
            raise UserError("Only issues of one project can be merged.")
        confirm_count(len(issues), "Merging", options.yes)
        server = self._context.find_server()
        who = cut(invocation.person.name, 60)
        yield View("sentry_changing", {"doing": "Merging", "count": len(issues), "who": who, "at": 0})
        left = server.merge(issues)
        names = ", ".join(issue.short_id or issue.id for issue in issues)
        note = ""
        if self._context.settings.author_notes:
            try:
                server.note(left, author_note(self._context, f"merged {names}", invocation))
            except Unsupported:
                pass
            except ServerError as error:
                log.warning("No note could be left on issue %s", left.id, exc_info=True)
                note = f"The note about who asked could not be left: {error}"
        values = {"id": cut(left.short_id or left.id, 60), "title": title_of(left, 120), "link": left.link}
        yield View("sentry_merged", {**values, "names": cut(names, 300), "who": who, "note": note})

    def _find(self, word: str, invocation: Invocation) -> Issue:
        """In a thread, a note may begin with what only looks like an issue: `UTF-8`, `sha-1`."""
        try:
            return self._context.finder.find(word, invocation)
        except BadReference as error:
            if word and self._context.finder.in_thread(invocation):
                raise BadReference(f"{error} If {echo(word)} is the note's first word, put -- before it.") from error
            raise

    def _split(self, invocation: Invocation) -> tuple[str, str]:
        """The REF and the text; in the thread of an alert, the REF may be missing.

        A number that begins a text there could be either: it is not guessed.
        """
        head, rest = leading_word(invocation.words)
        if head == "--":
            return "", rest
        if not self._context.finder.in_thread(invocation):
            return head, rest
        if head.isdigit():
            raise UsageError(
                f"Is {echo(head)} an issue, or does your note begin with it? Begin with -- for a note on this thread's "
                "issue, or give the short id.",
            )
        return (head, rest) if head and self._context.finder.is_reference(head) else ("", invocation.words.strip())


def _describe(parser: OptionParser) -> None:
    parser.add_argument("-y", "--yes", action="store_true")
