"""The one client of sentry-sdk: made, enriched, used and taken away here.

Where Errbot's core (or anything else) has called `sentry_sdk.init` before, that client is replaced by one with the
same options and ours, so that one client remains. The SDK's own logging integration stays installed but silent: our
handler takes the records. A chosen list of integrations replaces the automatic one, which would let Flask's
integration, say, report web errors with bodies and headers although BOT_LOG_SENTRY_FLASK is off.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import TracebackType
from typing import Any

import sentry_sdk
from sentry_sdk import serializer
from sentry_sdk.envelope import Envelope, Item, PayloadRef
from sentry_sdk.integrations import Integration
from sentry_sdk.integrations.argv import ArgvIntegration
from sentry_sdk.integrations.atexit import AtexitIntegration
from sentry_sdk.integrations.excepthook import ExcepthookIntegration
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.integrations.modules import ModulesIntegration
from sentry_sdk.integrations.stdlib import StdlibIntegration
from sentry_sdk.integrations.threading import ThreadingIntegration
from sentry_sdk.scope import Scope, ScopeType, use_isolation_scope
from sentry_sdk.transport import Transport
from sentry_sdk.utils import event_from_exception

from errbot_sentry.config.settings import ReportSettings
from errbot_sentry.reporting.collect.bot_context import NOWHERE, BotContext
from errbot_sentry.reporting.collect.breadcrumbs import SEND
from errbot_sentry.reporting.collect.event_filter import Intake
from errbot_sentry.reporting.collect.load_errors import unread_exception
from errbot_sentry.reporting.redact.safe_repr import LONGEST_VALUE, make_repr_processor

log = logging.getLogger(__name__)

Event = dict[str, Any]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
# What the SDK calls before an event leaves: (event, our intake or None, exc_info or None) -> the event or None.
Finish = Callable[[Event, Intake | None, ExcInfo | None], Event | None]

_INTAKE = "sentry_reporter_intake"
_PAUSE = 0.01
_CLEAN_HOOKS = ("before_send_log", "before_send_metric", "before_send_span")


def _check_event(answer: object) -> None:
    """TypeError for what a hook has returned in place of an event: the SDK would lose it without a word."""
    if answer is not None and not (isinstance(answer, dict) and answer):
        raise TypeError(f"wanted is the event, or None to drop it, and not a {type(answer).__name__}")


class _CommandScope(Scope):
    """The scope of a command, and what was typed. The SDK hands a copy to each thread that the command starts, and to
    its jobs in a ThreadPoolExecutor: so their words are known there too."""

    __slots__ = ("where",)
    where: BotContext

    def __copy__(self) -> Scope:
        made = super().__copy__()
        made.where = self.where  # type: ignore[attr-defined]  # it is of this class
        return made


class Client:
    """sentry-sdk with our options, from `start` to `close`."""

    def __init__(
        self,
        settings: ReportSettings,
        finish: Finish,
        clean: Callable[[Any], Any],
        on_lost: Callable[[str, str], None],
    ) -> None:
        self._settings = settings
        self._finish = finish
        self._clean = clean
        self._on_lost = on_lost
        self._client: Any = None
        self._repr_processor: Any = None
        self._users: Mapping[str, Any] = settings.options
        self._hook_failed = False
        # One entry for each capture that is under way: what is done to a list here cannot be interrupted.
        self._under_way: list[None] = []

    @property
    def active(self) -> bool:
        """Whether our client is the one that the SDK uses now."""
        return self._client is not None and sentry_sdk.get_client() is self._client

    @property
    def closed_by_others(self) -> bool:
        """Whether somebody else has closed our client, which then takes events and loses them."""
        return self._client is not None and self._client.transport is None

    @property
    def tracing(self) -> bool:
        """Whether the operator wants transactions."""
        return bool(self._users.get("traces_sample_rate") or self._users.get("traces_sampler"))

    @property
    def transport(self) -> Any:
        return self._client.transport if self._client is not None else None

    def start(self, transport: type[Transport]) -> None:
        """Become the SDK's client. Raises what the SDK raises for options that it does not take."""
        before = sentry_sdk.get_client()
        self._repr_processor = make_repr_processor()
        serializer.add_global_repr_processor(self._repr_processor)
        try:
            sentry_sdk.init(**self._options(transport))
        except BaseException:
            self._forget_repr_processor()
            raise
        self._client = sentry_sdk.get_client()
        # What the replaced client still has to send goes out: its worker ends behind its queue. A transport that the
        # operator made, one object for both clients, must live on.
        if before.is_active() and before.transport is not self._client.transport:
            before.close(timeout=0)

    def settle(self, seconds: float) -> None:
        """Wait for the captures of other threads that are under way, at most so long: once the client is closed, the
        SDK loses their events without a word."""
        end = time.monotonic() + seconds
        while self._under_way and time.monotonic() < end:
            time.sleep(_PAUSE)

    def flush(self) -> None:
        """Hand what the SDK gathers before sending (sessions, logs) to the transport."""
        if self._client is not None:
            self._client.flush(timeout=0)

    def close(self) -> None:
        """Leave the SDK without a client."""
        client = self._client
        if client is None:
            return
        client.close(timeout=0)
        self._client = None
        scope = sentry_sdk.get_global_scope()
        if scope.client is client:
            scope.set_client(None)
        self._forget_repr_processor()

    def _forget_repr_processor(self) -> None:
        with suppress(ValueError):
            serializer.global_repr_processors.remove(self._repr_processor)
        self._repr_processor = None

    def _options(self, transport: type[Transport]) -> dict[str, Any]:
        users = self._users
        options: dict[str, Any] = {
            "max_value_length": LONGEST_VALUE,
            "transport": transport,
            # By default every host that a plugin asks anything would get the DSN's key, release and environment.
            "trace_propagation_targets": [],
            # A web request's body may be chat (Slack sends it that way).
            "max_request_body_size": "medium" if self._settings.chat_text == SEND else "never",
            **users,
            "in_app_include": [*(users.get("in_app_include") or ()), "errbot.plugins", "errbot.flows"],
            "dsn": self._settings.dsn.reveal(),
            "before_send": self._before_send,
            "before_send_transaction": self._before_send_transaction,
        }
        experiments = users.get("_experiments") or {}
        for name in _CLEAN_HOOKS:
            users_hook = users.get(name) or experiments.get(name)
            # The SDK warns about a hook for spans where spans are not streamed.
            if (
                name != "before_send_span"
                or users_hook
                or "stream" in str({**experiments, **users}.get("trace_lifecycle"))
            ):
                options[name] = self._cleaning(users_hook)
        if not users.get("auto_enabling_integrations"):
            options["auto_enabling_integrations"] = False
        options["default_integrations"] = False
        options["integrations"] = self._integrations()
        return options

    def _integrations(self) -> list[Integration]:
        chosen: dict[str, Integration] = {}
        if self._users.get("default_integrations", True):
            own: list[Integration] = [
                ArgvIntegration(),
                AtexitIntegration(callback=lambda _pending, _timeout: None),
                ExcepthookIntegration(),
                ModulesIntegration(),
                StdlibIntegration(),
                ThreadingIntegration(),
            ]
            chosen = {item.identifier: item for item in own}
        chosen.update({item.identifier: item for item in self._users.get("integrations") or ()})
        if self._settings.flask:
            from sentry_sdk.integrations.flask import FlaskIntegration

            chosen.setdefault(FlaskIntegration.identifier, FlaskIntegration())
        logs = logging.INFO if self._users.get("enable_logs") else None
        # An integration that was installed once (by Errbot's core) cannot be disabled, only replaced by a silent one.
        chosen[LoggingIntegration.identifier] = LoggingIntegration(level=None, event_level=None, sentry_logs_level=logs)
        return list(chosen.values())

    def _before_send(self, event: Event, hint: dict[str, Any]) -> Event | None:
        finished = self._finish(event, hint.get(_INTAKE), hint.get("exc_info"))
        return None if finished is None else self._users_word("before_send", finished, hint)

    def _before_send_transaction(self, event: Event, hint: dict[str, Any]) -> Event | None:
        finished = self._finish(event, None, None)
        return None if finished is None else self._users_word("before_send_transaction", finished, hint)

    def _users_word(self, name: str, event: Event, hint: dict[str, Any]) -> Event | None:
        """What the operator's own hook makes of the scrubbed event. A hook that fails may have been about to take
        something out, so its event does not leave."""
        hook = self._users.get(name)
        if hook is None:
            return event
        try:
            answer: Event | None = hook(event, {key: held for key, held in hint.items() if key != _INTAKE})
            _check_event(answer)
        except Exception:
            if not self._hook_failed:
                log.exception("%s in SENTRY_OPTIONS failed, its events are dropped", name)
            self._hook_failed = True
            answer = None
        if answer is None:
            self._on_lost("transaction" if event.get("type") == "transaction" else "error", name)
        return answer

    def _cleaning(self, hook: Callable[[Any, Any], Any] | None) -> Callable[[Any, Any], Any]:
        def clean(item: Any, hint: Any) -> Any:
            cleaned = self._clean(item)
            return cleaned if hook is None else hook(cleaned, hint)

        return clean

    def capture_exception(self, exc_info: ExcInfo, extra: Event, intake: Intake, handled: bool = True) -> str | None:
        """An event of this exception, with the fields of `extra`."""
        with self._capturing():
            return self._capture_exception(exc_info, extra, intake, handled)

    def _capture_exception(self, exc_info: ExcInfo, extra: Event, intake: Intake, handled: bool) -> str | None:
        if not self.active:
            return None
        try:
            event, hint = event_from_exception(
                exc_info, client_options=self._client.options, mechanism={"type": "logging", "handled": handled}
            )
        except Exception:  # noqa: BLE001 - it is foreign code, of which the SDK reads much
            # Without the cause: Python cannot print such an exception either.
            log.warning("An exception cannot be read, its type and place are reported")
            event, hint = {"exception": {"values": [unread_exception(exc_info[0], exc_info[2])]}}, {}
        event.update(extra)  # type: ignore[typeddict-item]  # the SDK types its events, not what they may carry besides
        return self.capture(event, intake, hint)  # type: ignore[arg-type]  # as above

    def capture(self, event: Event, intake: Intake, hint: dict[str, Any] | None = None) -> str | None:
        """An event made by us; None when it was not taken (sampled out, dropped by a hook)."""
        with self._capturing():
            if not self.active:
                return None
            return sentry_sdk.capture_event(event, hint={**(hint or {}), _INTAKE: intake})  # type: ignore[arg-type]  # as above

    @contextmanager
    def _capturing(self) -> Iterator[None]:
        self._under_way.append(None)
        try:
            yield
        finally:
            self._under_way.pop()

    def summary(self, exc_info: ExcInfo) -> Event:
        """The exception without locals and source: enough to tell its count later."""
        options = {
            "include_local_variables": False,
            "include_source_context": False,
            "max_value_length": LONGEST_VALUE,
            "custom_repr": None,
        }
        event, _ = event_from_exception(
            exc_info, client_options=options, mechanism={"type": "logging", "handled": True}
        )
        return dict(event)

    def send_feedback(self, event_id: str, name: str, text: str) -> None:
        """A person's words about an event (https://develop.sentry.dev/sdk/data-model/envelope-items/, user_report)."""
        report = {"event_id": event_id, "name": name, "email": "", "comments": text}
        envelope = Envelope(headers={"event_id": event_id})
        envelope.add_item(Item(PayloadRef(json=report), type="user_report"))
        if self.active and self.transport is not None:
            self.transport.capture_envelope(envelope)

    def set_tag(self, key: str, value: str) -> None:
        """A tag on everything that this thread (inside a command: this command) reports from here on."""
        sentry_sdk.get_isolation_scope().set_tag(key, value)

    @contextmanager
    def own_scope(self, where: BotContext) -> Iterator[None]:
        """The scope of a command: what is set inside, tags say, ends with it."""
        if not self.active:
            yield
            return
        scope = _CommandScope(ty=ScopeType.ISOLATION)
        scope.update_from_scope(sentry_sdk.get_isolation_scope())
        scope.where = replace(where, message=None)  # a thread may live for long
        with use_isolation_scope(scope):
            yield

    @staticmethod
    def inherited() -> BotContext:
        """The command in which this thread runs, or in which it was started."""
        found: BotContext = getattr(sentry_sdk.get_isolation_scope(), "where", NOWHERE)
        return found

    @contextmanager
    def transaction(self, op: str, name: str) -> Iterator[None]:
        """A transaction around the body, as far as the operator's sampling wants it."""
        if not self.active:
            yield
            return
        with sentry_sdk.start_transaction(op=op, name=name, source="task"):
            yield

    @contextmanager
    def span(self, op: str, name: str) -> Iterator[None]:
        """A span around the body, inside the transaction that is running, if one is."""
        if not self.active:
            yield
            return
        with sentry_sdk.start_span(op=op, name=name):
            yield

    @staticmethod
    def mark_failed() -> None:
        """The command that runs here failed: its transaction says so. (Errbot swallows the exception.)"""
        span = sentry_sdk.get_current_span()
        if span is not None:
            whole = getattr(span, "containing_transaction", None) or span
            whole.set_status("internal_error")

    @staticmethod
    def new_event_id() -> str:
        return uuid.uuid4().hex
