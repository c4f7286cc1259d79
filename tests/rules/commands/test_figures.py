"""Figures for a narrow window."""

from __future__ import annotations

import pytest

from errbot_sentry.domain.text import short_path


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
