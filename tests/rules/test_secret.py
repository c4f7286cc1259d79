"""Secrets are shown by at most their last four characters, whatever the address around them looks like."""

from __future__ import annotations

import pytest

from errbot_sentry.config.secrets import mask_url

PASSWORD = "correct-horse-battery"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://bot:{PASSWORD}@db/state",
        f"postgresql://bot:{PASSWORD}@db:port/state",
        f"postgresql://bot:a/{PASSWORD}@db/state",
        f"postgresql://bot:1/{PASSWORD}@db/state",
        f"postgresql://bot:1#{PASSWORD}@db/state",
        f"postgresql://bot:1?{PASSWORD}@db/state",
        f"postgresql://bot:a@{PASSWORD}/b@db/state",
        f"postgresql://db/state?password={PASSWORD}",
        f"postgresql://db/state#{PASSWORD}",
        f"https://{PASSWORD}@sentry.example.com/1",
        f"https://{PASSWORD}:x@sentry.example.com/1",
        f"https://x:{PASSWORD}@sentry.example.com/1",
    ],
)
def test_no_form_of_address_shows_its_password(url):
    """Also those that cannot work: an operator's typo ends in the log."""
    masked = mask_url(url)
    assert PASSWORD[:-4] not in masked
    assert PASSWORD.split("-")[1] not in masked


@pytest.mark.parametrize(
    "url", ["sqlite:////var/lib/bot/state.sqlite3", "sqlite:///state.sqlite3", "https://a.example/x"]
)
def test_an_address_without_secrets_is_shown_as_it_is(url):
    """An operator looks for the file that it names."""
    assert mask_url(url) == url


def test_a_masked_dsn_still_tells_host_and_project():
    """That is what one looks for in the status."""
    assert mask_url("https://0123456789abcdef@sentry.example.com:8443/7") == "https://…cdef@sentry.example.com:8443/7"
