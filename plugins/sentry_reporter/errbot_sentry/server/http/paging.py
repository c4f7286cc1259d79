"""Where a listing goes on: cursors from a `Link` header (Sentry, GlitchTip) and from a body (Bugsink)."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

# Searched for, not split: GlitchTip prints the header as a Python set, `{'<…>; rel="next"; …'}`.
_LINK = re.compile(r"<[^<>]*>((?:\s*;\s*\w+=\"[^\"]*\")+)")
_ATTRIBUTE = re.compile(r"(\w+)=\"([^\"]*)\"")


def link_cursors(header: str) -> tuple[str | None, str | None]:
    """The cursors of the next and the previous page, None where there is no such page.

    Sentry always sends both links, and only `results` says whether anything is there (sentry-docs
    `docs/api/pagination.mdx`). GlitchTip leaves the cursor out where nothing is.
    """
    found: dict[str, str] = {}
    for link in _LINK.finditer(header):
        attributes = dict(_ATTRIBUTE.findall(link[1]))
        if attributes.get("results") == "true" and attributes.get("cursor"):
            found.setdefault(attributes.get("rel", ""), attributes["cursor"])
    return found.get("next"), found.get("previous")


def body_cursor(url: object, base_url: str) -> str | None:
    """The cursor in a `next` or `previous` URL of Bugsink, None where there is none.

    The URL itself is never requested, and one of another scheme, host or port is not believed.
    """
    if not isinstance(url, str):
        return None
    try:
        parts, base = urlsplit(url), urlsplit(base_url)
        if (parts.scheme, parts.hostname, parts.port) != (base.scheme, base.hostname, base.port):
            return None
    except ValueError:
        return None
    return next(iter(parse_qs(parts.query).get("cursor", [])), None)
