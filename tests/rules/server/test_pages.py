"""Cursors, as the three servers write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errbot_sentry.server.http.calls import body_cursor, link_cursors

U = "https://sentry.io/api/0/organizations/acme/issues/"


def link(rel: str, results: str, cursor: str) -> str:
    named = f'; cursor="{cursor}"' if cursor else ""
    return f'<{U}?cursor={cursor}>; rel="{rel}"; results="{results}"{named}'


@pytest.mark.parametrize(
    ("header", "cursors"),
    [
        (f"{link('previous', 'false', '0:0:1')}, {link('next', 'true', '0:100:0')}", ("0:100:0", None)),
        (f"{link('previous', 'true', '0:0:1')}, {link('next', 'false', '0:9:0')}", (None, "0:0:1")),
        # GlitchTip prints the header as a Python set, and leaves the cursor out where nothing follows.
        ("{'" + f"{link('previous', 'false', '')}, {link('next', 'true', 'cD0y')}" + "'}", ("cD0y", None)),
        ("", (None, None)),
        ("nonsense; rel=next", (None, None)),
        (f'<{U}>; rel="next"; results="true"', (None, None)),
        (f'<{U}>; rel="next"; cursor="x"', (None, None)),
    ],
)
def test_a_link_header_gives_both_cursors(header, cursors):
    """Only where `results` says that there is something."""
    assert link_cursors(header) == cursors


@given(st.text())
def test_any_header_is_taken(header):
    """A proxy may put anything there."""
    link_cursors(header)


BASE = "https://bugs.example.com:8000/sub"


@pytest.mark.parametrize(
    ("url", "cursor"),
    [
        ("https://bugs.example.com:8000/sub/api/canonical/0/issues/?cursor=cD0y%3D&project=1", "cD0y="),
        ("https://bugs.example.com:8000/sub/api/canonical/0/issues/?project=1", None),
        ("https://evil.example/api/canonical/0/issues/?cursor=x", None),
        ("http://bugs.example.com:8000/sub/?cursor=x", None),
        ("https://bugs.example.com/sub/?cursor=x", None),
        ("https://[::1/?cursor=x", None),
        (None, None),
        (7, None),
    ],
)
def test_a_body_gives_a_cursor_only_from_its_own_server(url, cursor):
    """The URL is not asked for; its cursor is."""
    assert body_cursor(url, BASE) == cursor
