"""Reads which issue a web address names, for the three kinds of server. Addresses of other hosts name none. Pure."""

from __future__ import annotations

from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from errbot_sentry.domain import identifiers
from errbot_sentry.server.protocol import IssueAddress

_LONGEST_URL = 2000
_SAAS = "sentry.io"
_NOT_AN_ORG = ("www", "us", "de", "")  # hosts of sentry.io that are regions


def is_saas(url: str) -> bool:
    """Whether this is sentry.io, one of its regions, or an organization's own host there."""
    host = urlsplit(url).hostname or ""
    return host == _SAAS or host.endswith("." + _SAAS)


def sentry_issue_page(base_url: str, org: str, issue_id: str) -> str:
    """The web address of an issue's page. On sentry.io, each organization has a host of its own."""
    if is_saas(base_url):
        return f"https://{org}.{_SAAS}/issues/{issue_id}/"
    return f"{base_url}/organizations/{org}/issues/{issue_id}/"


def sentry_address(url: str, base_url: str, org: str) -> IssueAddress | None:
    """The issue in an address of Sentry; None for another organization.

    The forms are `/organizations/ORG/issues/ID/…`, `/issues/ID/…` (on sentry.io with the organization in the host), the
    old `/ORG/PROJECT/issues/ID/`, and feedback's `…/feedback/?feedbackSlug=PROJECT:ID`.
    """
    saas = is_saas(base_url)
    parts = _split(url)
    if parts is None or not (_same_host(parts, base_url) or (saas and is_saas(url))):
        return None
    path = _path(parts, base_url)
    named = (parts.hostname or "").removesuffix(_SAAS).rstrip(".") if saas else ""
    named = "" if named in _NOT_AN_ORG else named
    if path[-1:] == ["feedback"] and (slug := parse_qs(parts.query).get("feedbackSlug")):
        # models/group.py of getsentry/sentry, get_absolute_url: `PROJECT:ID`
        named, issue = path[1] if path[:1] == ["organizations"] else named, [slug[0].rpartition(":")[2]]
    elif path[:1] == ["organizations"] and path[2:3] == ["issues"]:
        named, issue = path[1], path[3:4]
    elif path[:1] == ["issues"]:
        issue = path[1:2]
    elif path[2:3] == ["issues"]:
        named, issue = path[0], path[3:4]
    else:
        return None
    return _address(issue, named, org)


def glitchtip_address(url: str, base_url: str, org: str) -> IssueAddress | None:
    """`/ORG/issues/ID`, and Sentry's forms, which GlitchTip's frontend has too. None for another organization."""
    parts = _split(url)
    if parts is None or not _same_host(parts, base_url):
        return None
    path = _path(parts, base_url)
    if path[:1] == ["organizations"]:
        path = path[1:]
    return _address(path[2:3], path[0], org) if path[1:2] == ["issues"] else None


def bugsink_address(url: str, base_url: str) -> IssueAddress | None:
    """`/issues/issue/UUID/…`."""
    parts = _split(url)
    if parts is None or not _same_host(parts, base_url):
        return None
    path = _path(parts, base_url)
    if path[:2] != ["issues", "issue"] or not path[2:3] or not identifiers.is_uuid(path[2]):
        return None
    return IssueAddress(path[2].lower())


def _address(issue: list[str], named: str, org: str) -> IssueAddress | None:
    if not issue or (named and named.casefold() != org.casefold()):
        return None
    if identifiers.is_number(issue[0]):
        return IssueAddress(issue[0], named)
    return IssueAddress(issue[0].upper(), named) if identifiers.is_short_id(issue[0]) else None


def _split(url: str) -> SplitResult | None:
    if len(url) > _LONGEST_URL or not url.isprintable():
        return None
    try:
        parts = urlsplit(url.strip())
        _ = parts.port
    except ValueError:
        return None
    return parts if parts.scheme in ("http", "https") and parts.hostname else None


def _same_host(parts: SplitResult, base_url: str) -> bool:
    """Whether host and port are the same; http or https does not matter."""
    base = urlsplit(base_url)
    return parts.hostname == base.hostname and _port(parts) == _port(base)


def _port(parts: SplitResult) -> int | None:
    return None if parts.port in (80, 443) else parts.port


def _path(parts: SplitResult, base_url: str) -> list[str]:
    """The segments of the path below the server's path prefix; none if it is not below that."""
    prefix = urlsplit(base_url).path.rstrip("/") + "/"
    if not parts.path.startswith(prefix):
        return []
    return [unquote(segment) for segment in parts.path[len(prefix) :].split("/") if segment]
