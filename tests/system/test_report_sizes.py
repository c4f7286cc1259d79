"""No event is larger than servers take, whatever is in it, and what is left of it still says what happened."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest
import sentry_sdk

from errbot_sentry.reporting.reporter import Reporter
from tests.fakes.ingest_server import IngestServer
from tests.system.conftest import Make
from tests.system.report_bot import wait_until_sent

log = logging.getLogger("some.plugin")
SERVERS_LIMIT = 1_000_000  # Bugsink's MAX_EVENT_SIZE is 1 MiB


@pytest.fixture
def reporter(started: Make) -> Reporter:
    return started(repeat_seconds=0, options={"traces_sample_rate": 1.0})


def report(error: BaseException) -> None:
    log.error("it went wrong", exc_info=error)


def report_with(local: dict[str, str]) -> None:
    raise RuntimeError(f"the last {len(local)}")


def chain_of(count: int) -> Exception:
    error: Exception = ValueError("the root")
    for number in range(count):
        outer = ValueError(f"link {number} {'x' * 600}")
        outer.__cause__ = error
        error = outer
    last = RuntimeError("the last one")
    last.__cause__ = error
    return last


def group_of(count: int) -> BaseException:
    return ExceptionGroup("many at once", [ValueError(f"member {number} {'x' * 300}") for number in range(count)])  # noqa: F821 - Python 3.11


def with_wide_fields() -> None:
    with sentry_sdk.new_scope() as scope:
        for number in range(3000):
            scope.set_tag(f"tag.{number}", "v" * 190)
            scope.set_context(f"context {number}", {f"k{place}": "c" * 500 for place in range(5)})
        report(RuntimeError("the last one"))


def sent_sizes(server: IngestServer, kind: str) -> list[int]:
    return [len(json.dumps(payload)) for payload in server.items(kind)]


def check(server: IngestServer, reporter: Reporter) -> dict[str, Any]:
    wait_until_sent(reporter)
    assert reporter.status().dropped == {}
    (event,) = server.events()
    assert sent_sizes(server, "event")[0] <= SERVERS_LIMIT
    return event


@pytest.mark.parametrize("count", [30, 2000])
def test_a_long_chain_of_causes(reporter: Reporter, server: IngestServer, count: int) -> None:
    report(chain_of(count))
    event = check(server, reporter)
    values = [value["value"] for value in event["exception"]["values"]]
    assert values[-1] == "the last one"
    assert values[0] == "the root"
    assert (len(values) == count + 2) == (count == 30)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="no groups before Python 3.11")
def test_a_large_group(reporter: Reporter, server: IngestServer) -> None:
    report(group_of(10_000))
    event = check(server, reporter)
    assert event["exception"]["values"][-1]["type"] == "ExceptionGroup"
    assert event["contexts"]["left_out"]["exceptions"] > 9000


def test_wide_fields_end_in_an_event_that_says_the_least(reporter: Reporter, server: IngestServer) -> None:
    with_wide_fields()
    event = check(server, reporter)
    assert event["exception"]["values"][-1]["value"] == "the last one"
    assert event["event_id"]
    assert event["level"] == "error"


def test_a_transaction_of_many_long_spans(reporter: Reporter, server: IngestServer) -> None:
    with reporter.transaction("bakery.nightly", "count the flour"):
        for number in range(900):
            with reporter.span("bakery.heat", f"{number} " + "x" * 2000):
                pass
    wait_until_sent(reporter)
    (transaction,) = server.items("transaction")
    assert sent_sizes(server, "transaction")[0] <= SERVERS_LIMIT
    assert transaction["transaction"] == "count the flour"
    assert transaction["contexts"]["trace"]["trace_id"]


def test_an_attachment_costs_the_event_nothing(reporter: Reporter, server: IngestServer) -> None:
    with sentry_sdk.new_scope() as scope:
        scope.add_attachment(bytes=b"\xff" * 1_500_000, filename="picture.bin")
        local = {"a local": "variable"}
        try:
            report_with(local)
        except RuntimeError:
            log.exception("it went wrong")
    event = check(server, reporter)
    assert event["exception"]["values"][-1]["stacktrace"]["frames"][-1]["vars"]["local"] == {"a local": "'variable'"}
