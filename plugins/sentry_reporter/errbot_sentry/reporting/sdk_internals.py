"""All uses of undocumented members of sentry-sdk, in one place.

They were read in sentry-sdk 2.75.0. After an update of the SDK, compare these:

| member | where | what for |
|---|---|---|
| `HttpTransport._make_pool` | transport.py, line 796 | connections with the operator's proxies and certificates |
| `HttpTransport._fetch_pending_client_report` | transport.py, line 433 | counts of lost events, for the server |
| `serializer.global_repr_processors` | serializer.py, line 51 | taking our repr processor out again |
| `Scope.client`, `Scope.set_client` | scope.py, lines 263 and 499 | leaving the SDK without a client |
| `_Client.capture_event` | client.py, line 1152 | replaced in our client, to count the events that the SDK loses |
| `Scope.__copy__` | scope.py, line 273 | a thread's copy of a command's scope, in command_scope.py |
| `Dsn`, `event_from_exception`, `env_to_bool` | utils.py | public names that the documentation does not mention |
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import sentry_sdk
from sentry_sdk import serializer
from sentry_sdk.consts import DEFAULT_OPTIONS, VERSION, EndpointType
from sentry_sdk.envelope import Item
from sentry_sdk.transport import HttpTransport
from sentry_sdk.utils import Dsn, env_to_bool

_REPORT_SECONDS = 30
ReprProcessor = Callable[[Any, dict[str, Any]], Any]


class SdkHttp(HttpTransport):
    """The SDK's transport, used for its connections and its counts of lost events, without its queue and thread.

    Args:
        options: the options of `sentry_sdk.init`, including the DSN. An invalid DSN raises the SDK's BadDsn.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        full = {**DEFAULT_OPTIONS, **options}
        # As sentry_sdk.client prepares them.
        if not isinstance(full["socket_options"], list):
            full["socket_options"] = None
        if full["keep_alive"] is None:
            full["keep_alive"] = env_to_bool(os.environ.get("SENTRY_KEEP_ALIVE"), strict=True) or False
        super().__init__(full)
        auth = Dsn(full["dsn"]).to_auth(f"sentry.python/{VERSION}")
        self.url = auth.get_api_url(EndpointType.ENVELOPE)
        self.headers = {"User-Agent": str(auth.client), "X-Sentry-Auth": auth.to_header()}

    def new_pool(self) -> Any:
        """A urllib3 pool of connections, with the operator's proxy and certificates."""
        return self._make_pool()

    def pending_client_report(self) -> Item | None:
        """The counts of events lost since the last report, at most twice a minute; None if there are none."""
        return self._fetch_pending_client_report(interval=_REPORT_SECONDS)


def add_repr_processor(processor: ReprProcessor) -> None:
    """Let the SDK's serializer call this function for every value that it prints."""
    serializer.add_global_repr_processor(processor)


def remove_repr_processor(processor: ReprProcessor) -> None:
    """Undo `add_repr_processor`."""
    with suppress(ValueError):
        serializer.global_repr_processors.remove(processor)


def forget_client(client: Any) -> None:
    """Leave the SDK without a client, if this one is its client."""
    scope = sentry_sdk.get_global_scope()
    if scope.client is client:
        scope.set_client(None)
