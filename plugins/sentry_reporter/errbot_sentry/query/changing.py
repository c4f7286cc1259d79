"""`resolve` and `reopen`: commands that change issues, for those in SENTRY_WRITERS."""

from __future__ import annotations

from collections.abc import Iterator

from errbot_sentry.model import RESOLVED, UNRESOLVED, Ask, View
from errbot_sentry.query.args import OptionParser
from errbot_sentry.query.change import Change, carry_out, confirm_count
from errbot_sentry.query.desk import Desk
from errbot_sentry.query.rights import check_writer

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
)


class Changing:
    """The commands that change issues; each checks the person before anything else."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def resolve(self, ask: Ask) -> Iterator[View]:
        yield from self._plain("resolve", RESOLVE, ask)

    def reopen(self, ask: Ask) -> Iterator[View]:
        yield from self._plain("reopen", REOPEN, ask)

    def _plain(self, name: str, change: Change, ask: Ask) -> Iterator[View]:
        check_writer(self._desk.access, ask.person)
        options, words = self._desk.parser(name, _describe).read(ask.words)
        issues = self._desk.finder.find_all(words, ask)
        confirm_count(len(issues), change.doing, options.yes)
        yield from carry_out(self._desk, change, issues, ask)


def _describe(parser: OptionParser) -> None:
    parser.add_argument("-y", "--yes", action="store_true")
