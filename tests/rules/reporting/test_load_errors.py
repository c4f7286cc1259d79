"""Exceptions out of the text that Errbot logs."""

from __future__ import annotations

import traceback

from errbot_sentry.reporting.collect.load_errors import exceptions_in


def printed(make: object) -> str:
    try:
        make()
    except Exception:  # noqa: BLE001 - whatever is raised is the subject
        return traceback.format_exc()
    raise AssertionError


def test_a_printed_traceback_is_read_back() -> None:
    def fail() -> None:
        raise LookupError("no such thing\nin two lines")

    ((found,),) = exceptions_in(printed(fail))
    assert found["type"] == "LookupError"
    assert found["value"] == "no such thing\nin two lines"
    frames = found["stacktrace"]["frames"]
    assert [frame["function"] for frame in frames] == ["printed", "fail"]
    assert frames[-1]["context_line"].strip().startswith("raise LookupError")
    assert len(frames[-1]["pre_context"]) == 5


def test_a_chain_is_one_failure() -> None:
    def first() -> None:
        raise OSError("first")

    def fail() -> None:
        try:
            first()
        except OSError as error:
            raise ValueError("second") from error

    ((cause, error),) = exceptions_in(printed(fail))
    assert (cause["type"], error["type"]) == ("OSError", "ValueError")


def test_several_failures_are_several() -> None:
    def one() -> None:
        raise OSError("one")

    def two() -> None:
        raise KeyError("two")

    chains = exceptions_in(f"{printed(one)}\n{printed(two)}")
    assert [chain[-1]["type"] for chain in chains] == ["OSError", "KeyError"]


def test_a_syntax_error() -> None:
    ((found,),) = exceptions_in(printed(lambda: compile("a b", "/x/broken.py", "exec")))
    assert found["type"] == "SyntaxError"
    assert found["stacktrace"]["frames"][-1]["filename"] == "broken.py"


def test_a_dotted_type_keeps_its_module() -> None:
    text = 'Traceback (most recent call last):\n  File "/a.py", line 1, in f\n    x\na.b.Wrong: why\n'
    ((found,),) = exceptions_in(text)
    assert (found["module"], found["type"], found["value"]) == ("a.b", "Wrong", "why")


def test_other_text_holds_none() -> None:
    for text in ("", "Did not find any plugin in /x.", "Traceback (most recent call last):\n", "a\n  b\nc: d"):
        assert exceptions_in(text) == []
