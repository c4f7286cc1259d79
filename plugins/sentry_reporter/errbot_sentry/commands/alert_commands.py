"""The commands of the alert flow: subscriptions, silences, digests, and what became of alerts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any, Protocol

from errbot_sentry.alerting.decide.decisions import WITHHELD
from errbot_sentry.alerting.decide.messages import TEMPLATES, list_row, shorten
from errbot_sentry.alerting.decide.route_table import RouteTable
from errbot_sentry.alerting.decide.routing import route_alert
from errbot_sentry.alerting.decide.visibility import about, may_name
from errbot_sentry.alerting.notify.digest_reports import Digests, chart_of, next_time
from errbot_sentry.alerting.notify.requested_digests import RequestedDigests
from errbot_sentry.commands import alert_words
from errbot_sentry.commands.alert_catalog import COMMANDS
from errbot_sentry.config.matchers import FIELDS, Matcher
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.alerts import ALERT_REASONS, NEW, Alert
from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.conversation import Invocation, View
from errbot_sentry.domain.durations import read_duration, write_duration, write_roughly
from errbot_sentry.domain.errors import BadReference, NotAllowed, UsageError, UserError
from errbot_sentry.domain.issue_actions import IssueAction, SilenceFor
from errbot_sentry.domain.issues import LEVELS, Issue
from errbot_sentry.store.database import Store
from errbot_sentry.store.records import DigestPlan, Message, Silence, Subscription

LONGEST_SILENCE = timedelta(days=365)
MOST_ROWS = 50
MOST_SILENCES, MOST_SUBSCRIPTIONS = 50, 50  # of one room; those that hold everywhere count as a room
_DAY = 86_400.0


class FindIssue(Protocol):
    """What a REF names, as the query flow knows it."""

    def __call__(self, word: str, invocation: Invocation) -> Issue:
        """The issue.

        Raises:
            AskError, ServerError: none, none to be shown here, or the server could not be asked.
        """
        ...


_NOT_ALLOWED = "You may not change alerts: ask an operator to add you to SENTRY_WRITERS."


FindById = Callable[[str, Invocation], Issue]
"""The issue with this id of the server's, for this person in this place; it raises BadReference and ServerError."""


class AlertCommands:
    """All commands of the alert flow; safe to use from several threads at once.

    Args:
        find_issue: what a REF names, as the query flow knows it.
        numbered: is told of each list shown, with its highest number: `#3` may be meant as a row of it.
        wake: called after something changed that the flow should look at.
        prefix: what commands begin with in chat.
    """

    def __init__(
        self,
        store: Store,
        book: RouteTable,
        access: Access,
        clock: Clock,
        find_issue: FindIssue,
        issue_by_id: FindById,
        numbered: Callable[[Invocation, int], None],
        wake: Callable[[], None],
        prefix: str = "!",
    ) -> None:
        self._store = store
        self._book = book
        self._access = access
        self._clock = clock
        self._find_issue = find_issue
        self._issue_by_id = issue_by_id
        self._digests = RequestedDigests(clock)
        self._numbered = numbered
        self._wake = wake
        self._usage = {command.name: prefix + command.usage for command in COMMANDS}
        self._changing = {command.name for command in COMMANDS if command.writers_only}

    def names(self) -> tuple[str, ...]:
        """The commands that `run` knows."""
        return tuple(command.name for command in COMMANDS)

    def run(self, name: str, invocation: Invocation) -> Iterator[View]:
        """The views that answer a command.

        Raises:
            AskError, ServerError, StoreError: with a sentence for the person.
        """
        if (
            name in self._changing
            and not self._access.may_write(invocation.person)
            and (name, invocation.words) != ("digest", "now")
        ):
            raise NotAllowed(_NOT_ALLOWED)
        handler: Callable[[Invocation], View] = getattr(self, f"_{name}")
        yield handler(invocation)

    def act(self, action: IssueAction, invocation: Invocation) -> Iterator[View]:
        """Carry out an action on an alert's issue as this person; raises as `run` does."""
        if not self._access.may_write(invocation.person):
            raise NotAllowed(_NOT_ALLOWED)
        if not isinstance(action.options, SilenceFor):
            raise UsageError("That is no change of alerts.")
        issue = self._issue_by_id(action.issue_id, invocation)
        yield self._silenced(invocation, (), issue, "", action.options.span)

    def _subscribe(self, invocation: Invocation) -> View:
        usage = self._usage["subscribe"]
        room = self._room(invocation, "A subscription is for a room: type it there.")
        chosen = alert_words.matchers(alert_words.split(invocation.words, usage), usage)
        made = Subscription(room, tuple(str(each) for each in chosen), invocation.person.name, self._now())
        with self._store.write() as tx:
            here = [each for each in tx.subscriptions.all() if each.room == made.room]
            if len(here) >= MOST_SUBSCRIPTIONS:
                instead = self._usage["unsubscribe"]
                raise UserError(f"There are {MOST_SUBSCRIPTIONS} subscriptions here. End one with {instead} first.")
            number = tx.subscriptions.add(made)
        self._book.changed()
        self._wake()
        return View("sentry_alert_done", {"what": "Subscription", "number": number, "words": _label(made), "until": ""})

    def _subscriptions(self, invocation: Invocation) -> View:
        with self._store.read() as tx:
            found = [
                each
                for each in tx.subscriptions.all()
                if each.room == self._here(invocation)
                or (invocation.conversation.is_direct and self._may_name(each.matchers, invocation))
            ]
        rows = [{"number": each.id, "label": _label(each), "room": each.room, "author": each.author} for each in found]
        self._numbered(invocation, max((each.id for each in found), default=0))
        return View("sentry_subscriptions", {"rows": rows, "direct": invocation.conversation.is_direct})

    def _unsubscribe(self, invocation: Invocation) -> View:
        usage = self._usage["unsubscribe"]
        number = alert_words.number(alert_words.split(invocation.words, usage), usage)
        with self._store.write() as tx:
            found = next((each for each in tx.subscriptions.all() if each.id == number), None)
            if found is None or not (invocation.conversation.is_direct or found.room == self._here(invocation)):
                raise BadReference(f"There is no subscription {number} here.")
            tx.subscriptions.remove(number)
        self._book.changed()
        return View("sentry_alert_done", {"what": "Subscription", "number": number, "words": "over", "until": ""})

    def _silence(self, invocation: Invocation) -> View:
        usage = self._usage["silence"]
        asked, comment = alert_words.comment_of(invocation.words)
        typed = alert_words.split(asked, usage)
        length = self._length(alert_words.take_option(typed, ("-d", "--duration"), usage), usage)
        if not typed:
            if not invocation.conversation.thread:
                raise UsageError("Say what to silence: matchers or an issue.", usage)
            typed = [""]
        if alert_words.names_matchers(typed):
            chosen = tuple(str(each) for each in alert_words.matchers(typed, usage))
            return self._silenced(invocation, chosen, None, comment, length)
        return self._silenced(invocation, (), self._issue_named(typed, invocation, usage), comment, length)

    def _silenced(
        self, invocation: Invocation, chosen: tuple[str, ...], issue: Issue | None, comment: str, length: timedelta
    ) -> View:
        key, label = ("", " ".join(chosen)) if issue is None else (issue.id, issue.short_id)
        now = self._now()
        made = Silence(
            self._here(invocation),
            chosen,
            key,
            label,
            invocation.person.name,
            shorten(comment, 200),
            now,
            now + length.total_seconds(),
        )
        with self._store.write() as tx:
            here = [each for each in tx.silences.present() if each.room == made.room and each.ends > now]
            if len(here) >= MOST_SILENCES:
                raise UserError(
                    f"There are {MOST_SILENCES} silences here. End one with {self._usage['unsilence']} first."
                )
            number = tx.silences.add(made)
        self._wake()
        until = f"for {write_duration(length)}, until {_clock_time(made.ends)}"
        return View("sentry_alert_done", {"what": "Silence", "number": number, "words": label, "until": until})

    def _issue_named(self, typed: list[str], invocation: Invocation, usage: str) -> Issue:
        if len(typed) > 1:
            raise UsageError("Silence one issue at a time, or give matchers.", usage)
        return self._find_issue(typed[0], invocation)

    def _length(self, text: str | None, usage: str) -> timedelta:
        if text is None:
            raise UsageError("Say for how long, such as -d 2h.", usage)
        try:
            length = read_duration(text)
        except ValueError as error:
            raise UsageError(f"{error}.", usage) from error
        if not timedelta(0) < length <= LONGEST_SILENCE:
            raise UsageError("A silence lasts at least a second and at most a year.", usage)
        return length

    def _silences(self, invocation: Invocation) -> View:
        now = self._now()
        with self._store.read() as tx:
            found = [
                each
                for each in tx.silences.present()
                if each.ends > now
                and self._holds_here(each, invocation)
                # What was said in a direct message, or in another room, may be about what is not to be named here.
                and ((each.room and each.room == self._here(invocation)) or self._may_name(about(each), invocation))
            ]
        rows = [
            {
                "number": each.id,
                "label": each.label,
                "left": write_duration(timedelta(seconds=int(each.ends - now))),
                "where": each.room or "every room",
                "author": each.author,
                "comment": each.comment,
            }
            for each in found
        ]
        self._numbered(invocation, max((each.id for each in found), default=0))
        return View("sentry_silences", {"rows": rows, "direct": invocation.conversation.is_direct})

    def _unsilence(self, invocation: Invocation) -> View:
        usage = self._usage["unsilence"]
        number = alert_words.number(alert_words.split(invocation.words, usage), usage)
        now = self._now()
        with self._store.write() as tx:
            found = tx.silences.get(number)
            if found is None or found.ends <= now or not self._holds_here(found, invocation):
                raise BadReference(f"There is no silence {number} here.")
            if not found.room and not invocation.conversation.is_direct:
                raise NotAllowed("This silence holds in every room: end it in a direct message.")
            tx.silences.end(number, now)
        self._wake()
        return View("sentry_alert_done", {"what": "Silence", "number": number, "words": "over", "until": ""})

    def _alerts(self, invocation: Invocation) -> View:
        usage = self._usage["alerts"]
        room = self._room(invocation, "Alerts go to rooms: ask there.")
        typed = alert_words.split(invocation.words, usage)
        count = alert_words.amount(alert_words.take_option(typed, ("-n",), usage) or "10", MOST_ROWS, usage)
        silenced = "--silenced" in typed
        if [word for word in typed if word != "--silenced"]:
            raise UsageError(f"Up to {MOST_ROWS} alerts can be listed.", usage)
        with self._store.read() as tx:
            found = tx.inbox.decided(room, count, [name.value for name in WITHHELD] if silenced else ())
        now = self._now()
        rows = [
            {
                **list_row(each.alert),
                "name": each.name.replace("_", " "),
                "detail": each.detail,
                "age": write_roughly(timedelta(seconds=int(max(0.0, now - each.at)))),
            }
            for each in found
            if self._access.may_see(each.alert.project, invocation.conversation)
        ]
        return View("sentry_alerts", {"rows": rows, "silenced": silenced})

    def _digest(self, invocation: Invocation) -> View:
        usage = self._usage["digest"]
        room = self._room(invocation, "A report is for a room: ask there.")
        now = self._now()
        typed = invocation.words.strip()
        if typed == "now":
            message = self._digests.get(room, invocation.person.acl, lambda: self._digest_of(room, now))
            return View(TEMPLATES[message.kind], {**message.values, "uploaded": False}, chart_of(message))
        with self._store.write() as tx:
            plan = tx.digests.get(room)
            if typed == "off":
                tx.digests.remove(room)
                return View("sentry_digest_plan", {"schedule": "", "next": ""})
            if typed:
                try:
                    plan = DigestPlan(room, typed, next_time(typed, now), now)
                except ValueError as error:
                    raise UsageError(f"{error}.", usage) from error
                tx.digests.put(plan)
        self._wake()
        schedule, following = (plan.schedule, _clock_time(plan.next_at)) if plan else ("", "")
        return View("sentry_digest_plan", {"schedule": schedule, "next": following})

    def _digest_of(self, room: str, now: float) -> Message:
        with self._store.read() as tx:
            recent = tx.digests.get(room) or DigestPlan(room, "the last day", now, now - _DAY)
            return Digests(self._access).message(tx, recent, now)

    def _route(self, invocation: Invocation) -> View:
        alert = self._imagined(invocation)
        routed = route_alert(alert, self._book.settled, self._access, self._book.subscribed())
        rows = [
            {"room": target.room, "why": target.label, "matchers": _matchers_of(target.route)}
            for target in routed.targets
        ]
        hidden = list(routed.hidden) if self._access.may_write(invocation.person) else []
        return View("sentry_routes", {"rows": rows, "hidden": hidden, "project": alert.project, "reason": alert.reason})

    def _imagined(self, invocation: Invocation) -> Alert:
        usage = self._usage["route"]
        typed = alert_words.split(invocation.words, usage)
        if not typed or alert_words.names_matchers(typed):
            raise UsageError("Say for which project.", usage)
        project, *conditions = typed
        if not self._access.may_see(project, invocation.conversation):
            raise UserError(f"There is no project {shorten(project, 60)} that can be shown here.")
        values: dict[str, Any] = {}
        tags = []
        for matcher in alert_words.matchers(conditions, usage):
            if matcher.operator != "=":
                raise UsageError("Here every value is given with =.", usage)
            if matcher.name.startswith("tag."):
                tags.append((matcher.name[4:], matcher.value))
            else:
                values[matcher.name] = matcher.value
        known = {name: value for name, value in values.items() if name in FIELDS and name not in ("issue", "project")}
        if known.get("level", LEVELS[0]) not in LEVELS:
            raise UsageError(f"A level is one of {', '.join(LEVELS)}.", usage)
        reason = known.pop("reason", NEW)
        if reason not in ALERT_REASONS:
            raise UsageError(f"A reason is one of {', '.join(ALERT_REASONS)}.", usage)
        source = known.pop("source", "webhook")
        return Alert("dry-run", reason, source, self._clock.now(), project=project, tags=tuple(tags), **known)

    def _may_name(self, matchers: Iterable[str | Matcher], invocation: Invocation) -> bool:
        """Whether these matchers name no project, and no issue of one, that may not be shown here.

        Who may change them sees all of them in a direct message, to be able to.
        """
        if invocation.conversation.is_direct and self._access.may_write(invocation.person):
            return True
        return may_name(matchers, invocation.conversation, self._access)

    def _here(self, invocation: Invocation) -> str:
        """The room as alerts know it, "" for a direct message."""
        return self._book.spelled(invocation.conversation.room)

    def _room(self, invocation: Invocation, sentence: str) -> str:
        if invocation.conversation.is_direct:
            raise UserError(sentence)
        return self._here(invocation)

    def _holds_here(self, silence: Silence, invocation: Invocation) -> bool:
        return invocation.conversation.is_direct or silence.room in ("", self._here(invocation))

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _label(subscription: Subscription) -> str:
    return " ".join(subscription.matchers) or "everything that this room may see"


def _matchers_of(route: Any) -> str:
    return " ".join(str(matcher) for matcher in route.matchers) if route is not None else ""


def _clock_time(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
