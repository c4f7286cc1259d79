"""The query flow on a server in memory, as the lead's chat adapter would use it: words in, lines out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import Any

from msgspec.structs import replace

from errbot_sentry.chat.render.templates import Templates
from errbot_sentry.commands.dispatch import Commands
from errbot_sentry.config.settings import CommandSettings
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.conversation import Conversation, Invocation, Person, View
from errbot_sentry.domain.issues import Event, ExceptionInfo, Frame, Issue, Project
from tests.clocks import VirtualClock
from tests.fakes.memory_server import URL, MemoryServer
from tests.stores import store_at

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=timezone.utc)
WEB, API, VAULT = Project("1", "web"), Project("2", "api"), Project("3", "vault")
ALICE, BOB = Person("alice!a@host", "alice"), Person("bob!b@host", "bob")
OPS, DIRECT = Conversation("#ops"), Conversation()
EVERYONE = Access(writers=("alice!*",))
# #ops sees web and api, direct messages see web only, no room sees vault but #vault.
ROOMS = Access(
    room_projects={"#ops": ("web", "api"), "#vault": ("*",), "direct": ("web",)}, writers=("alice!*", "bob!*")
)

FRAMES = (
    Frame("run", "threading.py", 10),
    Frame("main", "shop/main.py", 7, in_app=True, source=((6, "try:"), (7, "    pay(cart)"))),
    Frame(
        "pay",
        "shop/cart.py",
        42,
        in_app=True,
        source=((41, "def pay(cart):"), (42, "    return 1 / cart.left")),
        variables=(("cart", "<Cart\nleft=0>"), ("user", "'bob'")),
    ),
    Frame("inner", "lib/decimal.py", 7),
)
EVENT = Event(
    "e" * 32,
    "ZeroDivisionError: division by zero",
    tags=(("environment", "production"), ("browser", "Firefox 140")),
    exceptions=(ExceptionInfo("ZeroDivisionError", "division by zero", FRAMES),),
    release="shop@1.4",
)


def issue(number: int, project: Project = WEB, **changes: Any) -> Issue:
    """Issue n: `WEB-n`, last seen n minutes ago."""
    made = Issue(
        id=str(100 + number),
        short_id=f"{project.slug.upper()}-{number}",
        title=f"Problem {number}",
        project=project,
        level="error",
        culprit="shop.cart in pay",
        first_seen=NOW - timedelta(days=3),
        last_seen=NOW - timedelta(minutes=number),
        events=1200 + number,
        users=3,
        trend=(0, 1, 4, 9),
        link=f"{URL}/organizations/acme/issues/{100 + number}/",
    )
    return replace(made, **changes)


class World:
    """A server with issues, and people who type."""

    def __init__(self, issues: Iterable[Issue] = (), *, access: Access = EVERYONE, **options: Any) -> None:
        self.clock = VirtualClock(NOW)
        server_options = {key: options.pop(key) for key in ("kind", "unsupported", "projects") if key in options}
        self.server = MemoryServer(issues, now=self.clock.now, **server_options)
        options.setdefault("settings", CommandSettings())
        options.setdefault("find_server", lambda: self.server)
        self.store = options.pop("store", None) or store_at("sqlite://")
        self.commands = Commands(access=access, clock=self.clock, store=self.store, sleep=self.clock.advance, **options)

    def link(self, mail: str, person: Person = ALICE) -> None:
        """This person has proved that the mail address is theirs."""
        with self.store.write() as tx:
            tx.accounts.put(person.acl, mail, self.clock.now().timestamp())

    def views(self, typed: str, person: Person = ALICE, conversation: Conversation = OPS) -> list[View]:
        """The views of `issues -n 3` and so on; errors pass through."""
        name, _, words = typed.partition(" ")
        return list(self.commands.run(name, Invocation(person, conversation, words)))

    def lines(self, typed: str, person: Person = ALICE, conversation: Conversation = OPS) -> list[str]:
        """The lines as people read them."""
        return [line for view in self.views(typed, person, conversation) for line in rendered(view)]


_TEMPLATES = Templates("irc")


def rendered(view: View) -> list[str]:
    """The lines of a view, with escapes undone and bold and links as in a terminal."""
    text = _TEMPLATES.render(view.template, view.values)
    text = re.sub(r"(?<!\\)\*\*", "", text)
    text = re.sub(r"(?<!\\)\[([^\]]*)\]\(([^)]*)\)", r"\1 (\2)", text)
    text = re.sub(r"\\(.)", r"\1", text).replace("&lt;", "<").replace("&amp;", "&").replace("\u200b", "")
    return text.split("\n")
