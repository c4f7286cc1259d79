"""Whatever is in an event, it becomes small enough, and as little as possible is left out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from errbot_sentry.reporting.deliver.envelope_writer import shrink

MOST = 900_000
LEAST = 200_000
BASE: dict[str, Any] = {
    "event_id": "a" * 32,
    "level": "error",
    "exception": {"values": [{"type": "ValueError", "value": "boom"}]},
}
FRAME = {"filename": "a.py", "function": "f", "lineno": 1, "vars": {"x": "y" * 100}}
LONG = "\U0001f600" * 100_000  # twelve bytes each as JSON


def size(event: dict[str, Any]) -> int:
    return len(json.dumps(event).encode())


def deep(levels: int) -> Any:
    value: Any = "x" * 900
    for _ in range(levels):
        value = {"k": value, "l": ["x" * 900]}
    return value


MONSTERS: dict[str, dict[str, Any]] = {
    "a long sentence": {"logentry": {"message": LONG, "params": [LONG] * 50}},
    "scalars without an end": dict.fromkeys(("logger", "transaction", "release", "server_name"), LONG * 10),
    "a number of a million digits": {"timestamp": 10**4000, "user": {"id": 10**4000}, "odd": [10**4000] * 500},
    "wide tags": {"tags": {f"{number} {LONG[:300]}": LONG[:300] for number in range(5000)}},
    "wide contexts": {"contexts": {f"c{number}": {f"k{key}": LONG[:999] for key in range(40)} for number in range(99)}},
    "deep contexts": {"contexts": {f"c{number}": deep(60) for number in range(60)}},
    "an unknown field": {"unheard of": [LONG[:900]] * 2000},
    "a recursion": {
        "exception": {"values": [{"type": LONG, "value": LONG, "stacktrace": {"frames": [FRAME] * 20_000}}] * 3}
    },
    "many causes": {"exception": {"values": [{"type": "E", "stacktrace": {"frames": [FRAME] * 50}}] * 500}},
    "not as it should be": {"exception": LONG, "tags": [LONG] * 9, "contexts": LONG, "breadcrumbs": [LONG] * 9},
    "spans": {"type": "transaction", "spans": [{"description": LONG[:999]}] * 3000},
    "breadcrumbs": {"breadcrumbs": {"values": [{"message": LONG[:999], "data": deep(20)}] * 200}},
}  # fmt: skip


@pytest.mark.parametrize("name", MONSTERS)
def test_a_monster_fits(name: str) -> None:
    event = {**BASE, **MONSTERS[name]}
    assert size(event) > MOST
    small = shrink(event, MOST, size)
    assert size(small) <= MOST
    assert small["event_id"] == "a" * 32


@pytest.mark.parametrize("name", MONSTERS)
def test_the_last_step_has_a_bound_of_its_own(name: str) -> None:
    assert size(shrink({**BASE, **MONSTERS[name]}, 1, size)) < LEAST


def test_all_monsters_in_one() -> None:
    event = dict(BASE)
    for monster in MONSTERS.values():
        event.update({f"{len(event)} {key}" if key in event else key: value for key, value in monster.items()})
    assert size(shrink(event, MOST, size)) < MOST


def test_what_fits_is_left_as_it_is() -> None:
    assert shrink(BASE, MOST, size) is BASE


def test_only_as_much_goes_as_has_to() -> None:
    heavy = {**BASE, "extra": {"x": "y" * MOST}, "tags": {"mine": "stays"}, "modules": {"errbot": "6.2.1"}}
    small = shrink(heavy, MOST, size)
    assert "extra" not in small
    assert small["tags"] == {"mine": "stays"}
    assert small["modules"] == {"errbot": "6.2.1"}


def test_both_ends_of_a_chain_stay_and_the_rest_is_counted() -> None:
    values = [{"type": "E", "value": f"{number} {'x' * 900}"} for number in range(2000)]
    small = shrink({**BASE, "exception": {"values": values}}, MOST, size)
    left = [value["value"].split()[0] for value in small["exception"]["values"]]
    assert (left[0], left[-1]) == ("0", "1999")
    assert small["contexts"]["left_out"]["exceptions"] == 2000 - len(left)
