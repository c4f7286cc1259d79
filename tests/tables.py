"""Tables of cases: a row is the rule that it tries, then the values. The rule is the test's id: a red row names it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest


def table(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> pytest.MarkDecorator:
    """Run a test for each row."""
    return pytest.mark.parametrize(names, [pytest.param(*row[1:], id=row[0]) for row in rows])
