"""Charts, and paths for a narrow window."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from io import BytesIO

import pytest

from errbot_sentry.domain.charts import draw, number_marks, slice_noun, tick_label
from errbot_sentry.domain.issues import Counts
from errbot_sentry.domain.text import short_path

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOON = datetime(2026, 11, 7, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("shop.py", "shop.py"),
        ("apps/orders/views.py", "apps/orders/views.py"),
        ("home/bot/plugins/shop/shop.py", "…/shop/shop.py"),
        ("C:\\bots\\errbot\\plugins\\shop\\shop.py", "…/shop/shop.py"),
        ("", ""),
    ],
)
def test_a_long_path_is_its_folder_and_name(path: str, shown: str) -> None:
    """The rest is the same for all of a bot's plugins, and costs the line."""
    assert short_path(path) == shown


@pytest.mark.parametrize(
    ("step", "noun"), [(DAY, "day"), (HOUR, "hour"), (timedelta(minutes=15), "15 minutes"), (6 * HOUR, "6 hours")]
)
def test_a_slice_is_named_as_people_say_it(step: timedelta, noun: str) -> None:
    assert slice_noun(step) == noun


@pytest.mark.parametrize(
    ("after", "place", "step", "label"),
    [
        (timedelta(0), 0, DAY, "Nov 7"),
        (timedelta(0), 0, HOUR, "12:00\nNov 7"),
        (3 * HOUR, 1, HOUR, "15:00"),
        (12 * HOUR, 4, HOUR, "00:00\nNov 8"),
        (3 * DAY, 3, DAY, "Nov 10"),
    ],
)
def test_days_and_hours_differ_on_the_axis(after: timedelta, place: int, step: timedelta, label: str) -> None:
    dates = pytest.importorskip("matplotlib.dates", reason="matplotlib, the optional extra, is not installed")
    assert tick_label(dates.date2num(NOON + after), place, step, timezone.utc) == label


@pytest.mark.parametrize(
    ("places", "shown"),
    [
        ([], []),
        ([1.0, 5.0], [("1", 1.0), ("2", 5.0)]),
        ([1.0, 3.0, 3.5, 4.0, 9.0], [("1", 1.0), ("2–4", 3.5), ("5", 9.0)]),
    ],
)
def test_marks_that_are_close_share_one_number(places: list[float], shown: list[tuple[str, float]]) -> None:
    assert number_marks(places, 1.0) == shown


@pytest.mark.parametrize(("dark", "lightness"), [(True, range(60)), (False, range(200, 256))])
def test_a_picture_has_a_background_of_its_own(dark: bool, lightness: range) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib, the optional extra, is not installed")
    from matplotlib.image import imread

    corner = imread(BytesIO(draw(Counts(NOON, DAY, (1, 2)), "web", dark=dark)))[0, 0]
    assert corner[3] == 1
    assert all(int(part * 255) in lightness for part in corner[:3])
