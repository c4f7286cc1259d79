"""Checks those values of SENTRY_OPTIONS whose wrong type would lose events.

sentry-sdk accepts such a value when it starts, and then fails with every event. It checks the other options itself, or
a wrong value does no harm. The SDK is slow to import, so this module does not import it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Number
from typing import Any

from errbot_sentry.config.secrets import shape

_Check = Callable[[Any], bool]


def wrong_option(options: Mapping[str, Any]) -> str:
    """What is wrong with the first wrong option, as a part of a sentence; "" if all are right."""
    for name, (expected, check) in _EXPECTED.items():
        # None means the default, except for `ignore_errors`.
        if name in options and not (options[name] is None and name != "ignore_errors") and not check(options[name]):
            return f"expected {name!r} as {expected}, got {shape(options[name])}"
    return ""


def _are_texts(value: Any) -> bool:
    return isinstance(value, (list, tuple, set, frozenset)) and all(isinstance(item, str) for item in value)


def _are_errors(value: Any) -> bool:
    listed = isinstance(value, (list, tuple, set, frozenset))
    return listed and all(isinstance(item, str) or _is_class(item) for item in value)


def _is_class(value: Any) -> bool:
    """Whether `issubclass` accepts the value, as the SDK uses it."""
    try:
        issubclass(Exception, value)
    except TypeError:
        return False
    return True


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, Number)


def _scrubs(value: Any) -> bool:
    return callable(getattr(value, "scrub_event", None))


_FUNCTIONS = (
    "before_breadcrumb",
    "before_send",
    "before_send_log",
    "before_send_metric",
    "before_send_span",
    "before_send_transaction",
    "custom_repr",
    "error_sampler",
    "traces_sampler",
)
_NUMBERS = ("max_breadcrumbs", "max_stack_frames", "max_value_length", "sample_rate", "traces_sample_rate")
_EXPECTED: Mapping[str, tuple[str, _Check]] = {
    "in_app_exclude": ("a list of strings", _are_texts),
    "in_app_include": ("a list of strings", _are_texts),
    "ignore_errors": ("a list of exception types or their names", _are_errors),
    "event_scrubber": ("an EventScrubber", _scrubs),
    "project_root": ("a string", _is_text),
    **dict.fromkeys(_FUNCTIONS, ("a function", callable)),
    **dict.fromkeys(_NUMBERS, ("a number", _is_number)),
}
