"""The client of sentry-sdk: this module creates, uses and removes it.

If Errbot's core or other code has called `sentry_sdk.init` before, our client replaces that client, so that only one
remains. The SDK's logging integration stays installed but does nothing, because our handler takes the log records. A
fixed list of integrations replaces the automatic one. With that one, Flask's integration, for example, would report web
errors with bodies and headers although BOT_LOG_SENTRY_FLASK is off.
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
    """Raise TypeError if a hook returned something other than an event or None. The SDK would silently lose it."""
    if answer is not None and not (isinstance(answer, dict) and answer):
        raise TypeError(f"expected the event, or None to drop it, got {type(answer).__name__}")


class _Here(threading.local):
    accounted = 0  # events of this thread that have been counted, as captured or as lost


class SdkClient:
    """sentry-sdk with our options, from `start` to `close`.

    Args:
        transport: receives the envelopes, unless the operator's options name another one.
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
        self._operators: Mapping[str, Any] = settings.options  # the operator's options
        self._finish = event_processor
        self._transport = transport
        self._on_lost = on_lost
        self._client: Any = None
        self._repr_processor = make_repr_processor()
        self._hook_failed = False
        self._here = _Here()
        self.sdk_failed = False
        """Whether the SDK has ever failed with an event."""
        # One entry for each running capture. A list, because append and pop cannot be interrupted, unlike `+= 1`.
        self._under_way: list[None] = []

    @property
    def active(self) -> bool:
        """Whether the SDK uses our client now."""
        return self._client is not None and sentry_sdk.get_client() is self._client

    @property
    def closed_by_others(self) -> bool:
        """Whether other code has closed our client, which then accepts events and loses them."""
        return self._client is not None and self._client.transport is None

    @property
    def tracing(self) -> bool:
        """Whether the operator wants transactions."""
        return bool(self._operators.get("traces_sample_rate") or self._operators.get("traces_sampler"))

    def start(self) -> None:
        """Become the SDK's client. Raises the SDK's errors about wrong options."""
        before = sentry_sdk.get_client()
        add_repr_processor(self._repr_processor)
        try:
            sentry_sdk.init(**self._options())
        except BaseException:
            remove_repr_processor(self._repr_processor)
            raise
        self._client = sentry_sdk.get_client()
        # All events pass through this method: ours, those of other plugins, and those of the SDK's integrations. Such
        # an integration ignores errors of the SDK.
        self._client.capture_event = self._accounting(self._client.capture_event)
        # The replaced client still sends what is in its queue, because its worker only ends after that. If the operator
        # passed one transport object to both clients, it must not be closed.
        if before.is_active() and before.transport is not self._client.transport:
            before.close(timeout=0)

    def settle(self, seconds: float) -> None:
        """Wait at most so long for the running captures of other threads.

        Once the client is closed, the SDK silently loses their events.
        """
        end = time.monotonic() + seconds
        while self._under_way and time.monotonic() < end:
            time.sleep(_PAUSE)  # nothing notifies us when a capture in another thread ends

    def flush(self) -> None:
        """Pass on to the transport what the SDK collects before sending (sessions, logs)."""
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
            # By default, the SDK sends the DSN's key, release and environment to every host that a plugin calls.
            "trace_propagation_targets": [],
            # The body of a web request may be chat: Slack, for example, sends messages as web requests.
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
            # The SDK warns about a hook for spans if spans are not streamed.
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
        # An integration that Errbot's core has installed cannot be disabled, only replaced by one that does nothing.
        chosen[LoggingIntegration.identifier] = LoggingIntegration(level=None, event_level=None, sentry_logs_level=logs)
        return list(chosen.values())

    def lost(self, category: str, reason: str) -> None:
        """Count an event of this thread as lost before it reached the transport."""
        self._here.accounted += 1
        self._on_lost(category, reason)

    def _accounting(self, capture: Callable[..., str | None]) -> Callable[..., str | None]:
        """Wrap the SDK's `capture_event`, to count each event as lost that gets no id and was not counted elsewhere."""

        def accounting(event: Event, hint: dict[str, Any] | None = None, scope: Any = None) -> str | None:
            category = "transaction" if event.get("type") == "transaction" else "error"
            accounted = self._here.accounted
            try:
                event_id = capture(event, hint, scope)
            except Exception as error:  # noqa: BLE001 - the SDK raises various errors for unexpected options
                self._lost_by_sdk(category, error)
                return None
            # The operator's own transport counts events that the SDK drops by itself.
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
        """The function for this hook of the SDK: it runs our processing, then the operator's hook of that name."""

        def finish(event: Event, hint: dict[str, Any]) -> Event | None:
            self._here.accounted += 1
            finished = self._finish(event, hint.get(_CONTEXT), hint.get("exc_info"))
            return None if finished is None else self._operators_hook(name, finished, hint)

        return finish

    def _operators_hook(self, name: str, event: Event, hint: dict[str, Any]) -> Event | None:
        """The result of the operator's hook for the redacted event.

        If the hook fails, the event is dropped, since the hook may have been about to remove something.
        """
        hook = self._operators.get(name)
        if hook is None:
            return event
        try:
            answer: Event | None = hook(event, {key: value for key, value in hint.items() if key != _CONTEXT})
            _check_event(answer)
        except Exception:  # the operator's code
            if not self._hook_failed:
                log.exception("%s in SENTRY_OPTIONS failed; its events are dropped", name)
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
        """Capture an event of this exception, with the fields of `extra`; returns its id, or None."""
        with self._capturing():
            if not self.active:
                return None
            try:
                event, hint = event_from_exception(exc_info, client_options=self._client.options, mechanism=_MECHANISM)
            except Exception:  # noqa: BLE001 - the SDK reads many attributes of the exception, which are foreign code
                # The cause is not logged, because Python cannot print such an exception either.
                log.warning("An exception cannot be read; only its type and place are reported")
                event, hint = {"exception": {"values": [unread_exception(exc_info[0], exc_info[2])]}}, {}
            event.update(extra)  # type: ignore[typeddict-item]  # our events are plain dicts, the SDK's a TypedDict
            return self.capture(event, context, hint)  # type: ignore[arg-type]  # as above

    def capture(self, event: Event, context: CaptureContext, hint: dict[str, Any] | None = None) -> str | None:
        """Capture an event that we made; returns its id, None if it was dropped (by sampling or a hook)."""
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
        """An event of this exception without local variables and source lines, to report repeats of it later."""
        options = {
            "include_local_variables": False,
            "include_source_context": False,
            "max_value_length": LONGEST_VALUE,
            "custom_repr": None,
        }
        event, _ = event_from_exception(exc_info, client_options=options, mechanism=_MECHANISM)
        return dict(event)

    def send_feedback(self, event_id: str, name: str, text: str, *, modern: bool) -> None:
        """Send a person's comment on an event.

        If `modern`, it is sent as a `feedback` item, which is an event that refers to the other one
        (https://develop.sentry.dev/application-architecture/feedback-architecture/). Otherwise it is sent as the older
        `user_report` (https://develop.sentry.dev/sdk/data-model/envelope-items/).
        """
        if modern:
            feedback = {"message": text, "name": name, "associated_event_id": event_id, "source": "chat"}
            own_id = uuid.uuid4().hex
            payload: dict[str, object] = {
                "event_id": own_id, "timestamp": format_timestamp(datetime.now(timezone.utc)), "platform": "python",
                "level": "info", "contexts": {"feedback": feedback},
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
        """Set a tag on all later reports of this command if one runs, else of this thread."""
        sentry_sdk.get_isolation_scope().set_tag(key, value)

    def transaction(self, op: str, name: str) -> AbstractContextManager[Any]:
        """Measure the body as a transaction, if the operator's sampling selects it."""
        return sentry_sdk.start_transaction(op=op, name=name, source="task") if self.active else nullcontext()

    def span(self, op: str, name: str) -> AbstractContextManager[Any]:
        """Measure the body as a span of the running transaction, if there is one."""
        return sentry_sdk.start_span(op=op, name=name) if self.active else nullcontext()
