"""Translates Sentry's search language for GlitchTip, and refuses the terms that GlitchTip does not have.

GlitchTip answers with an empty list to what it does not know: unknown keys, other values of `is:`, negation.
It takes `is:`, `has:`, `level:` and exact tags first, free text last, reads quotes as a shell does, and answers 500 to
an odd apostrophe (measured; GlitchTip `apps/issue_events/services.py`).
"""

from __future__ import annotations

from errbot_sentry.domain import identifiers
from errbot_sentry.domain.errors import Unsupported
from errbot_sentry.domain.issues import ARCHIVED, LEVELS, RESOLVED, UNRESOLVED
from errbot_sentry.server.search import Term, plain_search

_STATUS_WORDS = {UNRESOLVED: "is:unresolved", RESOLVED: "is:resolved", ARCHIVED: "is:ignored"}
_KNOWN = "it takes is:, has:, level:, tags such as release:1.0, and words"

# Keys of Sentry that are not tags. GlitchTip would look for tags of these names, and find nothing.
_SENTRY_KEYS = """
age app.in_foreground assigned assigned_or_suggested bookmarks date detector device.class dist.index error.handled
error.main_thread error.mechanism error.type error.unhandled error.value event.type first_release firstrelease
first_seen firstseen id issue issue.category issue.id issue.priority issue.type last_seen lastseen message owner
platform.name priority stack.abs_path stack.colno stack.filename
stack.function stack.lineno stack.module stack.package stack.resource stack.stack_level subscribed timesseen
times_seen timestamp title trace user_count users_seen
""".split()  # noqa: SIM905 - fifty quoted words would be harder to read

_PROJECT_KEYS = ("project", "project.id", "project.name", "project_id")


def glitchtip_query(text: str, status: str | None) -> tuple[str, str]:
    """The parameter `query` (status and keys first, then the words), and a note for the person or "".

    The id of an event must stand alone; beside other terms GlitchTip takes it for a word.

    Raises:
        Unsupported: naming what GlitchTip cannot search for.
    """
    search = plain_search("GlitchTip", text, status)
    if not search.keys and len(search.words) == 1 and (event_id := identifiers.event_id(search.words[0])):
        return event_id, ""
    parts = [_STATUS_WORDS[search.status]] if search.status is not None else []
    parts += [_key(term) for term in search.keys]
    words = [_word(word) for word in search.words]
    notes = []
    if any(":" in word for word in search.words):
        notes.append("GlitchTip reads a word with a colon as a tag, so the colons were left out.")
    if text.replace('\\"', "").count('"') % 2:
        notes.append("An unmatched quotation mark was left out.")
    note = " ".join(notes)
    return " ".join([*parts, *filter(None, words)]), note


def _key(term: Term) -> str:
    key, value = term.key, term.value
    if key.lower() in _PROJECT_KEYS:
        raise Unsupported("GlitchTip cannot search by project: use -p with the project's slug.")
    if key.lower() in _SENTRY_KEYS:
        raise Unsupported(f"GlitchTip cannot search by {key[:50]}: {_KNOWN}.")
    if key == "level":
        value = value.lower()
        if value not in LEVELS:
            raise Unsupported(f"GlitchTip knows the levels {', '.join(LEVELS)}.")
    if not term.quoted and (value[:1] in "<>[" or "*" in value):
        raise Unsupported(f"GlitchTip compares {key[:50]}: only with one exact value, without *, < or lists.")
    needs_quotes = not value.isprintable() or any(ch in value for ch in " '\"\\")
    return f"{key}:{_quoted(value)}" if needs_quotes else f"{key}:{value}"


def _word(word: str) -> str:
    """A word of free text, quoted as for a shell, without colons, which would make it a tag."""
    plain = " ".join(word.replace(":", " ").split())
    return _quoted(plain) if any(ch in plain for ch in "'\"\\ ") or not plain.isprintable() else plain


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
