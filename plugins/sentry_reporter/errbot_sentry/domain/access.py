"""Who may see and change what, according to the settings. Commands and alerts use the same rules.

Rules fail closed: once `SENTRY_ROOM_PROJECTS` names any room, a room that it does not name sees nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from errbot_sentry.domain.conversation import Conversation, Person
from errbot_sentry.domain.identifiers import small

DIRECT = "direct"
_TOPIC = re.compile(r"(-\d+)/\d+")  # Telegram's group/topic; every member of the group can read all its topics


@dataclass(frozen=True)
class Access:
    """The rights that the settings give, as globs. Names of projects and rooms match in any case, people exactly.

    Args:
        projects: what the bot may show at all (`SENTRY_PROJECTS`); empty: everything that its token can read.
        room_projects: maps a room's glob, or "direct", to globs of projects (`SENTRY_ROOM_PROJECTS`); empty: every room
            sees `projects`.
        writers: who may change issues and alert settings (`SENTRY_WRITERS`).
    """

    projects: tuple[str, ...] = ()
    room_projects: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    writers: tuple[str, ...] = ()

    def may_see(self, project: str, conversation: Conversation) -> bool:
        """Whether issues of this project slug may be shown in this conversation; never without a slug."""
        if not project:
            return False
        if self.projects and not _any_glob(self.projects, project):
            return False
        if not self.room_projects:
            return True
        return _any_glob(self._globs_for(conversation), project)

    def sees_everything(self, conversation: Conversation) -> bool:
        """Whether no project is hidden from this conversation, so that lists need no filter."""
        return not self.projects and (not self.room_projects or "*" in self._globs_for(conversation))

    def sees_anything(self, conversation: Conversation) -> bool:
        """Whether any project may be shown in this conversation."""
        return not self.room_projects or bool(self._globs_for(conversation))

    def may_write(self, person: Person) -> bool:
        """Whether this person may change issues and alert settings.

        A glob matches, or equals their id as `!sentry whoami` prints it: IRC names may contain brackets, which would be
        a character class in a glob.
        """
        return any(person.acl == glob or fnmatchcase(person.acl, glob) for glob in self.writers)

    def with_rooms(self, name_of: Callable[[str], str]) -> Access:
        """The same rights with each room under its canonical name. If two names are one room, it sees what both may."""
        named: dict[str, tuple[str, ...]] = {}
        for room, globs in self.room_projects.items():
            name = room if room == DIRECT else name_of(room)
            named[name] = (*named.get(name, ()), *globs)
        return replace(self, room_projects=named)

    def _globs_for(self, conversation: Conversation) -> tuple[str, ...]:
        if conversation.is_direct:
            return self.room_projects.get(DIRECT, ())
        topic = _TOPIC.fullmatch(conversation.room)
        names = (conversation.room, topic[1]) if topic else (conversation.room,)
        return tuple(
            glob
            for room, globs in self.room_projects.items()
            if room != DIRECT and any(_any_glob((room,), name) for name in names)
            for glob in globs
        )


def _any_glob(globs: Iterable[str], text: str) -> bool:
    folded = small(text)
    return any(fnmatchcase(folded, small(glob)) for glob in globs)
