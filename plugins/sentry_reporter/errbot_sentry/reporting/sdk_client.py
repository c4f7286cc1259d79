"""The client of sentry-sdk: made, used and taken away here.

Where Errbot's core (or anything else) has called `sentry_sdk.init` before, ours replaces that client, so that one
client remains. The SDK's own logging integration stays installed but silent: our handler takes the records. A chosen
list of integrations replaces the automatic one, which would let Flask's integration, say, report web errors with bodies
and headers although BOT_LOG_SENTRY_FLASK is off.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime, timezone
from typing import Any

import sentry_sdk
from sentry_sdk.envelope import Envelope, Item, PayloadRef
from sentry_sdk.integrations import Integration
from sentry_sdk.integrations.argv import ArgvIntegration
from sentry_sdk.integrations.atexit import AtexitIntegration
from sentry_sdk.integrations.excepthook import ExcepthookIntegration
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.integrations.modules import ModulesIntegration
from sentry_sdk.integrations.stdlib import StdlibIntegration
from sentry_sdk.integrations.threading import ThreadingIntegration
from sentry_sdk.transport import Transport
from sentry_sdk.utils import event_from_exception, format_timestamp

from errbot_sentry.config.settings import ReportSettings
from errbot_sentry.reporting.collect.event_filter import ExcInfo
from errbot_sentry.reporting.collect.event_processor import CaptureContext, EventProcessor
from errbot_sentry.reporting.collect.load_errors import unread_exception
from errbot_sentry.reporting.redact.chat_redaction import SEND
from errbot_sentry.reporting.redact.redaction import Event
from errbot_sentry.reporting.redact.safe_repr import LONGEST_VALUE, make_repr_processor
from errbot_sentry.reporting.sdk_internals import add_repr_processor, forget_client, remove_repr_processor

log = logging.getLogger(__name__)

_CONTEXT = "sentry_reporter_context"  # our key in the SDK's hints
_MECHANISM = {"type": "logging", "handled": True}
_PAUSE = 0.01
_REDACTED_HOOKS = ("before_send_log", "before_send_metric", "before_send_span")


def _check_event(answer: object) -> None:
    """TypeError for what a hook has returned in place of an event: the SDK would lose it without a word."""
    if answer is not None and not (isinstance(answer, dict) and answer):
        raise TypeError(f"wanted is the event, or None to drop it, and not a {type(answer).__name__}")


class _Here(threading.local):
    accounted = 0  # events of this thread of which somebody has said what became of them


class SdkClient:
    """sentry-sdk with our options, from `start` to `close`.

    Args:
        transport: takes the envelopes, unless the operator's options name another one.
        on_lost: called with the category and the reason of each event that is lost before it reaches the transport.
    """

    def __init__(
        self,
        settings: ReportSettings,
        event_processor: EventProcessor,
        transport: Transport,
        on_lost: Callable[[str, str], None],
    ) -> None:
        self._settings = settings
        self._operators: Mapping[str, Any] = settings.options
        self._finish = event_processor
        self._transport = transport
        self._on_lost = on_lost
        self._client: Any = None
        self._repr_processor = make_repr_processor()
        self._hook_failed = False
        self._here = _Here()
        self.sdk_failed = False
        """Whether the SDK failed with an event, ever."""
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
        return bool(self._operators.get("traces_sample_rate") or self._operators.get("traces_sampler"))

    def start(self) -> None:
        """Become the SDK's client. Raises what the SDK raises for options that it does not take."""
        before = sentry_sdk.get_client()
        add_repr_processor(self._repr_processor)
        try:
            sentry_sdk.init(**self._options())
        except BaseException:
            remove_repr_processor(self._repr_processor)
            raise
        self._client = sentry_sdk.get_client()
        # Here all events come by: ours, other plugins', and those of the SDK's integrations, which swallow its errors.
        self._client.capture_event = self._accounting(self._client.capture_event)
        # What the replaced client still has to send is sent: its worker ends behind its queue. A transport that the
        # operator made, one object for both clients, must live on.
        if before.is_active() and before.transport is not self._client.transport:
            before.close(timeout=0)

    def settle(self, seconds: float) -> None:
        """Wait for the captures of other threads that are under way, at most so long: once the client is closed, the
        SDK loses their events without a word."""
        end = time.monotonic() + seconds
        while self._under_way and time.monotonic() < end:
            time.sleep(_PAUSE)  # captures of foreign threads, which note nothing when they end

    def flush(self) -> None:
        """Give what the SDK collects before sending (sessions, logs) to the transport."""
        if self._client is not None:
            self._client.flush(timeout=0)

    def close(self) -> None:
        """Leave the SDK without a client."""
        client = self._client
        if client is None:
            return
        client.close(timeout=0)
        self._client = None
        forget_client(client)
        remove_repr_processor(self._repr_processor)

    def _options(self) -> dict[str, Any]:
        operators = self._operators
        options: dict[str, Any] = {
            "max_value_length": LONGEST_VALUE,
            "transport": self._transport,
            # By default every host that a plugin sends a request to would get the DSN's key, release and environment.
            "trace_propagation_targets": [],
            # A web request's body may be chat (Slack sends it that way).
            "max_request_body_size": "medium" if self._settings.chat_text == SEND else "never",
            **operators,
            "in_app_include": [*(operators.get("in_app_include") or ()), "errbot.plugins", "errbot.flows"],
            "dsn": self._settings.dsn.reveal(),
            "before_send": self._before("before_send"),
            "before_send_transaction": self._before("before_send_transaction"),
        }
        experiments = operators.get("_experiments") or {}
        for name in _REDACTED_HOOKS:
            hook = operators.get(name) or experiments.get(name)
            # The SDK warns about a hook for spans where spans are not streamed.
            if (
                name != "before_send_span"
                or hook
                or "stream" in str({**experiments, **operators}.get("trace_lifecycle"))
            ):
                options[name] = self._redacting(hook)
        if not operators.get("auto_enabling_integrations"):
            options["auto_enabling_integrations"] = False
        options["default_integrations"] = False
        options["integrations"] = self._integrations()
        return options

    def _integrations(self) -> list[Integration]:
        chosen: dict[str, Integration] = {}
        if self._operators.get("default_integrations", True):
            own: list[Integration] = [
                ArgvIntegration(),
                AtexitIntegration(callback=lambda _pending, _timeout: None),
                ExcepthookIntegration(),
                ModulesIntegration(),
                StdlibIntegration(),
                ThreadingIntegration(),
            ]
            chosen = {item.identifier: item for item in own}
        chosen.update({item.identifier: item for item in self._operators.get("integrations") or ()})
        if self._settings.flask:
            from sentry_sdk.integrations.flask import FlaskIntegration

            chosen.setdefault(FlaskIntegration.identifier, FlaskIntegration())
        logs = logging.INFO if self._operators.get("enable_logs") else None
        # An integration that was installed once (by Errbot's core) cannot be disabled, only replaced by a silent one.
        chosen[LoggingIntegration.identifier] = LoggingIntegration(level=None, event_level=None, sentry_logs_level=logs)
        return list(chosen.values())

    def lost(self, category: str, reason: str) -> None:
        """Count an event that this thread captures and that does not reach the transport."""
        self._here.accounted += 1
        self._on_lost(category, reason)

    def _accounting(self, capture: Callable[..., str | None]) -> Callable[..., str | None]:
        """The SDK's `capture_event`; it counts as lost what neither leaves nor was dropped by somebody who counts."""

        def accounting(event: Event, hint: dict[str, Any] | None = None, scope: Any = None) -> str | None:
            category = "transaction" if event.get("type") == "transaction" else "error"
            accounted = self._here.accounted
            try:
                event_id = capture(event, hint, scope)
            except Exception as error:  # noqa: BLE001 - whatever the SDK does not expect in its options
                self._lost_by_sdk(category, error)
                return None
            # A foreign transport counts for itself what the SDK gives up.
            if event_id is None and accounted == self._here.accounted and "transport" not in self._operators:
                if self._operators.get("ignore_errors") and (hint or {}).get("exc_info"):
                    self.lost(category, "ignore_errors")
                else:
                    self._lost_by_sdk(category, None)
            return event_id

        return accounting

    def _lost_by_sdk(self, category: str, error: Exception | None) -> None:
        logged, self.sdk_failed = self.sdk_failed, True
        if not logged:
            log.error("sentry-sdk failed with an event, which is lost; further ones are only counted", exc_info=error)
        self.lost(category, "sdk_failed")

    def _before(self, name: str) -> Callable[[Event, dict[str, Any]], Event | None]:
        """The SDK's hook of this name: ours, then the operator's."""

        def finish(event: Event, hint: dict[str, Any]) -> Event | None:
            self._here.accounted += 1
            finished = self._finish(event, hint.get(_CONTEXT), hint.get("exc_info"))
            return None if finished is None else self._operators_hook(name, finished, hint)

        return finish

    def _operators_hook(self, name: str, event: Event, hint: dict[str, Any]) -> Event | None:
        """What the operator's own hook makes of the redacted event. A hook that fails may have been about to take
        something out, so its event does not leave."""
        hook = self._operators.get(name)
        if hook is None:
            return event
        try:
            answer: Event | None = hook(event, {key: value for key, value in hint.items() if key != _CONTEXT})
            _check_event(answer)
        except Exception:  # the operator's code
            if not self._hook_failed:
                log.exception("%s in SENTRY_OPTIONS failed, its events are dropped", name)
            self._hook_failed = True
            answer = None
        if answer is None:
            self._on_lost("transaction" if event.get("type") == "transaction" else "error", name)
        return answer

    def _redacting(self, hook: Callable[[Any, Any], Any] | None) -> Callable[[Any, Any], Any]:
        def redact(item: Any, hint: Any) -> Any:
            redacted = self._finish.redact(item)
            return redacted if hook is None else hook(redacted, hint)

        return redact

    def capture_exception(self, exc_info: ExcInfo, extra: Event, context: CaptureContext) -> str | None:
        """An event of this exception, with the fields of `extra`."""
        with self._capturing():
            if not self.active:
                return None
            try:
                event, hint = event_from_exception(exc_info, client_options=self._client.options, mechanism=_MECHANISM)
            except Exception:  # noqa: BLE001 - it is foreign code, of which the SDK reads much
                # Without the cause: Python cannot print such an exception either.
                log.warning("An exception cannot be read, its type and place are reported")
                event, hint = {"exception": {"values": [unread_exception(exc_info[0], exc_info[2])]}}, {}
            event.update(extra)  # type: ignore[typeddict-item]  # the SDK types its events, not what they may carry
            return self.capture(event, context, hint)  # type: ignore[arg-type]  # as above

    def capture(self, event: Event, context: CaptureContext, hint: dict[str, Any] | None = None) -> str | None:
        """An event made by us; None when it was not taken (sampled out, dropped by a hook)."""
        with self._capturing():
            if not self.active:
                return None
            return sentry_sdk.capture_event(event, hint={**(hint or {}), _CONTEXT: context})  # type: ignore[arg-type]  # as above

    @contextmanager
    def _capturing(self) -> Iterator[None]:
        self._under_way.append(None)
        try:
            yield
        finally:
            self._under_way.pop()

    def event_without_details(self, exc_info: ExcInfo) -> Event:
        """The exception without local variables and source lines: enough to report later how often it came."""
        options = {
            "include_local_variables": False,
            "include_source_context": False,
            "max_value_length": LONGEST_VALUE,
            "custom_repr": None,
        }
        event, _ = event_from_exception(exc_info, client_options=options, mechanism=_MECHANISM)
        return dict(event)

    def send_feedback(self, event_id: str, name: str, text: str, *, modern: bool) -> None:
        """A person's words about an event: a `feedback` item, an event of its own that names the other
        (https://develop.sentry.dev/application-architecture/feedback-architecture/), or the older `user_report`
        (https://develop.sentry.dev/sdk/data-model/envelope-items/)."""
        if modern:
            said = {"message": text, "name": name, "associated_event_id": event_id, "source": "chat"}
            own_id = uuid.uuid4().hex
            payload: dict[str, object] = {
                "event_id": own_id, "timestamp": format_timestamp(datetime.now(timezone.utc)), "platform": "python",
                "level": "info", "contexts": {"feedback": said},
            }  # fmt: skip
            envelope = Envelope(headers={"event_id": own_id})
            envelope.add_item(Item(PayloadRef(json=payload), type="feedback"))
        else:
            report = {"event_id": event_id, "name": name, "email": "", "comments": text}
            envelope = Envelope(headers={"event_id": event_id})
            envelope.add_item(Item(PayloadRef(json=report), type="user_report"))
        if self.active and self._client.transport is not None:
            self._client.transport.capture_envelope(envelope)

    def set_tag(self, key: str, value: str) -> None:
        """A tag on everything that this thread (inside a command: this command) reports from here on."""
        sentry_sdk.get_isolation_scope().set_tag(key, value)

    def transaction(self, op: str, name: str) -> AbstractContextManager[Any]:
        """A transaction around the body, as far as the operator's sampling wants it."""
        return sentry_sdk.start_transaction(op=op, name=name, source="task") if self.active else nullcontext()

    def span(self, op: str, name: str) -> AbstractContextManager[Any]:
        """A span around the body, inside the transaction that is running, if one is."""
        return sentry_sdk.start_span(op=op, name=name) if self.active else nullcontext()
