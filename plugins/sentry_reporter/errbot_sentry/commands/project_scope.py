"""Which projects and issues of the server a conversation may see. In doubt, it sees none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from errbot_sentry.config.matchers import Matcher
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.alerts import is_canary
from errbot_sentry.domain.conversation import Conversation
from errbot_sentry.domain.errors import BadReference, NotAllowed, ServerError
from errbot_sentry.domain.identifiers import small
from errbot_sentry.domain.issues import Issue, Project
from errbot_sentry.domain.typed_text import echo, probably_meant
from errbot_sentry.server.protocol import FindServer, Server

NOTHING_HERE = "No projects are visible here. Check SENTRY_PROJECTS and SENTRY_ROOM_PROJECTS."
NO_PROJECTS = "The server shows no projects. Check SENTRY_ORG, and what SENTRY_AUTH_TOKEN may see."


def nothing_words(server: Server) -> str:
    """Why there is nothing to show. For a mistyped organization, GlitchTip answers with an empty list of projects."""
    return NOTHING_HERE if server.projects() else NO_PROJECTS


def no_such_issue(named: str) -> BadReference:
    """The error for an issue that does not exist, and also for one that must not be shown here."""
    return BadReference(f"{named} not found here.")


def visible_issues(access: Access, conversation: Conversation, issues: Sequence[Issue]) -> tuple[Issue, ...]:
    """The issues that may be shown here. Every one is checked, because a server may ignore the filter in a request."""
    return tuple(issue for issue in issues if access.may_see(issue.project.slug, conversation))


def listed_issues(access: Access, conversation: Conversation, issues: Sequence[Issue]) -> tuple[Issue, ...]:
    """The issues that a list shows here: those that may be shown, without the issues of canaries."""
    seen = visible_issues(access, conversation, issues)
    return tuple(issue for issue in seen if not is_canary(issue.title, issue.level))


def visible_projects(access: Access, conversation: Conversation, server: Server) -> tuple[Project, ...]:
    """The server's projects that may be shown here, sorted by slug."""
    found = (project for project in server.projects() if access.may_see(project.slug, conversation))
    return tuple(sorted(found, key=lambda project: project.slug.casefold()))


def scope(access: Access, conversation: Conversation, server: Server, wanted: Sequence[str]) -> tuple[Project, ...]:
    """The projects that a command is about; `()` means the whole server, if this conversation may see all of it.

    Args:
        wanted: slugs, ids or globs that the person typed; empty: all that may be seen.

    Raises:
        BadReference: a name matches no project that may be shown here. The reply does not say whether it exists.
        NotAllowed: no project may be shown here.
    """
    if not wanted and access.sees_everything(conversation):
        return ()
    seen = visible_projects(access, conversation, server)
    if not seen:
        raise NotAllowed(nothing_words(server))
    if not wanted:
        return seen
    chosen: dict[str, Project] = {}
    for name in wanted:
        fitting = [project for project in seen if _fits(name, project)]
        if not fitting:
            raise _no_such_project(name, seen)
        chosen.update({project.id: project for project in fitting})
    return tuple(chosen.values())


def refuse_unknown_projects(
    access: Access, conversation: Conversation, find_server: FindServer, names: Iterable[str], *, is_own: bool = False
) -> None:
    """Refuse slugs or globs that match no project that may be shown here.

    In a direct message a silence holds for all rooms, so any project of the server will do; with `is_own`, what is
    asked for concerns this person alone. If the server does not answer, or has no projects, nothing is refused.

    Raises:
        BadReference: with the name that was probably meant.
    """
    try:
        server = find_server()
        all_projects, seen = server.projects(), visible_projects(access, conversation, server)
    except ServerError:
        return
    # What is made in a direct message holds for all rooms, and each of them may see other projects.
    known = all_projects if conversation.is_direct and not is_own else seen
    for name in names if all_projects else ():
        if not any(_fits(name, project) for project in known):
            raise _no_such_project(name, seen)


def projects_named(matchers: Iterable[Matcher]) -> list[str]:
    """The values of these matchers for `project`."""
    return [matcher.value for matcher in matchers if (matcher.name, matcher.operator) == ("project", "=")]


def _fits(name: str, project: Project) -> bool:
    return name == project.id or fnmatchcase(small(project.slug), small(name))


def _no_such_project(name: str, seen: Sequence[Project]) -> BadReference:
    near = probably_meant(name, (project.slug for project in seen))
    hint = f"; did you mean {near}?" if near else ". List them with `!sentry projects`."
    return BadReference(f"Project {echo(name)} not found here{hint}")
