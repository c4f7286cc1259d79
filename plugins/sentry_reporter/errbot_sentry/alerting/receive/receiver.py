"""Takes webhooks: checks who sent them, reads them, and stores their alerts before it answers.

Sentry waits for one second, and never repeats a failed delivery of an internal integration. So nothing is looked up or
sent here, and the answer 202 means that the alert is on disk.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from errbot_sentry.alerting.receive.bugsink_webhooks import is_bugsink_webhook, read_bugsink_webhook
from errbot_sentry.alerting.receive.glitchtip_webhooks import is_glitchtip_webhook, read_glitchtip_webhook
from errbot_sentry.alerting.receive.group_commit import GroupCommit
from errbot_sentry.alerting.receive.sentry_webhooks import is_legacy_webhook, read_legacy_webhook, read_sentry_webhook
from errbot_sentry.alerting.receive.webhook_values import Parsed
from errbot_sentry.alerting.receive.wrong_formats import refusal_of
from errbot_sentry.config.secrets import Secret
from errbot_sentry.config.settings import AlertSettings
from errbot_sentry.domain.alerts import Alert, is_canary
from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.errors import BadBody, BodyTooLarge, NotAuthentic, ReceiverClosed, StoreError, WebhookRefused
from errbot_sentry.domain.identifiers import is_number
from errbot_sentry.domain.locks import Lock
from errbot_sentry.server.issue_urls import sentry_issue_page
from errbot_sentry.store.database import Store
from errbot_sentry.store.records import Delivery, DeliveryKey

log = logging.getLogger(__name__)

_LOG_SECONDS = 60.0
LARGEST_BODY = 5 * 1024 * 1024
# GlitchTip's body has no id and no time: another alert about the same issue next week has the same bytes.
SAME_BODY_SPAN = 600.0
SAME_STEP_SPAN = 60.0
_LONGEST_KEY = 128
# Of the integration platform, its UI components, and service hooks; the signature is made in the same way.
SIGNATURE_HEADERS = ("sentry-hook-signature", "sentry-app-signature", "x-servicehook-signature")
# Senders without Sentry's headers are recognized by the fields of their bodies, in this order.
_BY_SHAPE = (
    (is_bugsink_webhook, read_bugsink_webhook),
    (is_glitchtip_webhook, read_glitchtip_webhook),
    (is_legacy_webhook, read_legacy_webhook),
)


@dataclass(frozen=True)
class WebhookAnswer:
    """The HTTP answer: a status and one line of text."""

    status: int
    text: str


class WebhookReceiver:
    """Takes the webhooks of both routes, signed or with a token. Safe to call from any number of threads."""

    def __init__(self, settings: AlertSettings, store: Store, clock: Clock, on_stored: Callable[[int], None]) -> None:
        """`on_stored` is called after each stored delivery, with the number of issues that the sender left out."""
        self._settings = settings
        self._clock = clock
        self._on_stored = on_stored
        self._group_commit = GroupCommit(store)
        self._open = False
        self.last: float | None = None
        self.refused = ""  # why the last authentic body was refused; "" where it was not
        self.in_hand = 0
        self._counting = Lock()
        self._not_stored = 0  # since the log last said so
        self._log_at = 0.0

    def open(self) -> None:
        """Take webhooks from now on."""
        self._open = True

    def close(self) -> None:
        """Answer every webhook with 503 from now on."""
        self._open = False

    def take(self, headers: Mapping[str, str], body: bytes, token: str | None) -> WebhookAnswer:
        """The answer to one POST; `token` is the secret part of its URL, None on the signed route. Never raises."""
        with self._counting:
            self.in_hand += 1
        try:
            answer = self._take({name.lower(): value for name, value in headers.items()}, body, token)
        except WebhookRefused as error:
            if isinstance(error, BadBody):  # most senders show the answer nowhere
                self.refused = str(error)
                log.warning("a webhook was refused: %s", error)
            answer = WebhookAnswer(error.status, str(error))
        except StoreError:
            self._log_not_stored()
            answer = WebhookAnswer(503, "The alert could not be stored.")
        except Exception:  # a body of any shape: the sender gets an answer, the log the cause
            log.exception("a webhook could not be read")
            answer = WebhookAnswer(400, "The webhook could not be read.")
        with self._counting:
            self.in_hand -= 1
        return answer

    def _log_not_stored(self) -> None:
        """Log the cause, at most once a minute: a flood of webhooks must not fill the disk with log lines."""
        now = self._clock.monotonic()
        with self._counting:
            self._not_stored += 1
            if now < self._log_at:
                return
            count, self._not_stored, self._log_at = self._not_stored, 0, now + _LOG_SECONDS
        log.exception(
            "%s webhooks could not be stored: lost, unless their senders repeat them or the poller finds them", count
        )

    def _take(self, headers: Mapping[str, str], body: bytes, token: str | None) -> WebhookAnswer:
        if not self._open:
            raise ReceiverClosed("Alerts are switched off here.")
        if len(body) > LARGEST_BODY:
            raise BodyTooLarge("The body is over 5 MB.")
        if not self._is_authentic(headers, body, token):
            raise NotAuthentic("Not authentic.")
        self.last = self._clock.now().timestamp()
        key = _key(headers, body)
        parsed = self._read(headers, body, Alert(key.text, "", "webhook", self._clock.now()))
        self.refused = ""
        keys = (key, DeliveryKey(parsed.key, SAME_STEP_SPAN)) if parsed.key else (key,)
        if parsed.alerts and all(is_canary(alert.title, alert.level) for alert in parsed.alerts):
            # Equal bytes may belong to another round: GlitchTip's webhooks have no time.
            keys = (DeliveryKey(f"canary:{self.last}"),)
        if not parsed.alerts and not parsed.more:
            return WebhookAnswer(200, "This webhook contains no alert.")
        if not self._group_commit.store(Delivery(keys, parsed.alerts, self.last)):
            return WebhookAnswer(200, "This delivery was stored before.")
        self._on_stored(parsed.more)
        return WebhookAnswer(202, "Stored.")

    def _is_authentic(self, headers: Mapping[str, str], body: bytes, token: str | None) -> bool:
        if token is None:
            return is_signed(headers, body, self._settings.webhook_secrets)
        return is_token(token, self._settings.webhook_tokens)

    def _read(self, headers: Mapping[str, str], body: bytes, blank: Alert) -> Parsed:
        content = _json_object(headers, body)
        resource = headers.get("sentry-hook-resource", "").strip().lower()
        if resource:
            return self._with_links(read_sentry_webhook(resource, content, blank))
        if refusal := refusal_of(content, headers):
            raise BadBody(refusal)
        for is_its, read in _BY_SHAPE:
            if is_its(content):
                return read(content, blank)
        raise BadBody("The body has none of the formats that Sentry, GlitchTip and Bugsink send.")

    def _with_links(self, parsed: Parsed) -> Parsed:
        """The alerts with the web address of their issues, which Sentry sends only with `issue.created`."""
        url, org = self._settings.server_url, self._settings.org
        return replace(
            parsed,
            alerts=tuple(
                replace(alert, link=sentry_issue_page(url, org, alert.issue_id))
                if org and not alert.link and is_number(alert.issue_id)
                else alert
                for alert in parsed.alerts
            ),
        )


def signature(body: bytes, secret: Secret) -> str:
    """The signature of a sender with this secret for this body.

    Sentry signs the raw body with HMAC-SHA256, key = the integration's client secret, and sends lowercase hex
    (sentry-docs, integration-platform/webhooks). The timestamp header is not covered by the signature.
    """
    return hmac.new(secret.reveal().encode(), body, hashlib.sha256).hexdigest()


def is_signed(headers: Mapping[str, str], body: bytes, secrets: Iterable[Secret]) -> bool:
    """Whether the headers have a signature of the body by one of these secrets. Header names are in lower case."""
    given = next((headers[name] for name in SIGNATURE_HEADERS if headers.get(name)), "").strip().lower()
    return _is_one_of(given, [signature(body, secret) for secret in secrets])


def is_token(given: str, tokens: Iterable[Secret]) -> bool:
    """Whether this part of a URL is one of our secret tokens."""
    return _is_one_of(given, [token.reveal() for token in tokens])


def _is_one_of(given: str, expected: list[str]) -> bool:
    # All are compared, so that the time does not show which was nearly right. Bytes, because `compare_digest` takes
    # only ASCII texts.
    sent = given.encode("utf-8", "surrogatepass")
    matches = [hmac.compare_digest(sent, each.encode()) for each in expected if each]
    return any(matches)


def _key(headers: Mapping[str, str], body: bytes) -> DeliveryKey:
    """The key that recognizes a repeated delivery: Sentry's Request-ID, for other senders the bytes of the body.

    Equal bodies with different ids are different deliveries: an issue may be resolved, reopened and resolved again.
    """
    given = headers.get("request-id", "").strip() if "sentry-hook-resource" in headers else ""
    if not given:
        return DeliveryKey("body:" + hashlib.sha256(body).hexdigest(), SAME_BODY_SPAN)
    if len(given) > _LONGEST_KEY or not given.isascii() or not given.isprintable():
        given = hashlib.sha256(given.encode("utf-8", "replace")).hexdigest()
    return DeliveryKey("request:" + given)


def _json_object(headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise BadBody(refusal_of(None, headers) or "The body is not JSON.") from error
    if not isinstance(content, dict):
        raise BadBody("The body is not a JSON object.")
    return content


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
