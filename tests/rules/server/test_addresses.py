"""Issue URLs that people paste, of the three servers, and those of others that are none of ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errbot_sentry.server.issue_urls import bugsink_address, glitchtip_address, sentry_address

SAAS, OWN = "https://sentry.io", "https://sentry.acme.test"
UUID = "0190d1a5-7b3c-7c4e-9d1f-2a3b4c5d6e7f"


@pytest.mark.parametrize(
    ("base", "url", "found"),
    [
        (SAAS, "https://acme.sentry.io/issues/123/", ("123", "acme")),
        (SAAS, "https://acme.sentry.io/issues/123/events/abc/?project=1&referrer=x#y", ("123", "acme")),
        (SAAS, "https://ACME.sentry.io/issues/WEB-1a/", ("WEB-1A", "acme")),
        (SAAS, "https://sentry.io/organizations/acme/issues/123/?project=4", ("123", "acme")),
        (SAAS, "https://us.sentry.io/organizations/acme/issues/123", ("123", "acme")),
        (SAAS, "https://de.sentry.io/issues/123", ("123", "")),
        (SAAS, "https://sentry.io/issues/123/", ("123", "")),
        (SAAS, "https://sentry.io/acme/web/issues/123/", ("123", "acme")),
        ("https://acme.sentry.io", "https://sentry.io/organizations/acme/issues/9/", ("9", "acme")),
        (OWN, "https://sentry.acme.test/organizations/acme/issues/123/", ("123", "acme")),
        (OWN, "http://sentry.acme.test:80/organizations/acme/issues/123/", ("123", "acme")),
        (OWN, "https://SENTRY.acme.test/organizations/Acme/issues/123/", ("123", "Acme")),
        (OWN + "/prefix", OWN + "/prefix/organizations/acme/issues/5/", ("5", "acme")),
        (OWN + "/prefix", OWN + "/organizations/acme/issues/5/", None),
        (OWN, OWN + "/organizations/acme/feedback/?feedbackSlug=my-proj%3A4510004&project=42", ("4510004", "acme")),
        (OWN, OWN + "/organizations/acme/issues/feedback/?feedbackSlug=my-proj%3A7", ("7", "acme")),
        (SAAS, "https://acme.sentry.io/feedback/?project=1&feedbackSlug=web%3A7", ("7", "acme")),
        (SAAS, "https://us.sentry.io/organizations/acme/feedback/?feedbackSlug=web:7", ("7", "acme")),
        (OWN, OWN + "/organizations/other/feedback/?feedbackSlug=web%3A7", None),
        (OWN, OWN + "/organizations/acme/feedback/?feedbackSlug=web%3A..%2f7", None),
        (OWN, OWN + "/organizations/acme/feedback/", None),
        (SAAS, "https://other.sentry.io/issues/123/", None),
        (SAAS, "https://sentry.io/organizations/other/issues/123/", None),
        (SAAS, "https://sentry.io.evil.test/issues/123/", None),
        (SAAS, "https://evilsentry.io/organizations/acme/issues/123/", None),
        (SAAS, "https://acme.sentry.io@evil.test/issues/123/", None),
        (OWN, "https://acme.sentry.io/issues/123/", None),
        (OWN, "https://sentry.acme.test:8443/organizations/acme/issues/123/", None),
        (OWN, "https://sentry.acme.test/organizations/acme/issues/", None),
        (OWN, "https://sentry.acme.test/organizations/acme/issues/..%2f1/", None),
        (OWN, "https://sentry.acme.test/organizations/acme/projects/1/", None),
        (OWN, "https://sentry.acme.test/", None),
        (OWN, "ftp://sentry.acme.test/issues/1/", None),
        (OWN, "https://[::1/issues/1", None),
        (OWN, "WEB-1A", None),
    ],
)
def test_sentry_urls(base, url, found):
    """On sentry.io the organization may be in the host; another organization's issue is none of ours."""
    address = sentry_address(url, base, "acme")
    assert (address and (address.issue, address.org)) == found


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://sentry.acme.test/acme/issues/12", ("12", "acme")),
        ("https://sentry.acme.test/acme/issues/12/events/abc", ("12", "acme")),
        ("https://sentry.acme.test/organizations/acme/issues/12", ("12", "acme")),
        ("https://sentry.acme.test/other/issues/12", None),
        ("https://sentry.acme.test/acme/issues", None),
        ("https://sentry.acme.test/acme/projects/12", None),
        ("https://elsewhere.test/acme/issues/12", None),
        ("https://sentry.acme.test/", None),
    ],
)
def test_glitchtip_urls(url, found):
    """The organization stands first."""
    address = glitchtip_address(url, OWN, "acme")
    assert (address and (address.issue, address.org)) == found


@pytest.mark.parametrize(
    ("url", "found"),
    [
        (f"https://sentry.acme.test/issues/issue/{UUID}/event/last/", UUID),
        (f"https://sentry.acme.test/issues/issue/{UUID.upper()}/", UUID),
        (f"https://sentry.acme.test/issues/issue/{UUID}", UUID),
        (f"https://sentry.acme.test/issues/event/{UUID}/", None),
        ("https://sentry.acme.test/issues/issue/12/", None),
        ("https://sentry.acme.test/issues/issue/", None),
        (f"https://elsewhere.test/issues/issue/{UUID}/", None),
    ],
)
def test_bugsink_urls(url, found):
    """There is no organization."""
    address = bugsink_address(url, OWN)
    assert (address and (address.issue, address.org)) == (found and (found, ""))


@given(st.text() | st.text().map(lambda rest: f"{OWN}/{rest}"))
def test_any_text_is_taken(text):
    """Every message of a room is looked at."""
    sentry_address(text, OWN, "acme")
    glitchtip_address(text, OWN, "acme")
    bugsink_address(text, OWN)
