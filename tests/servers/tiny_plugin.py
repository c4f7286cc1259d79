"""Plugins that a test writes for itself, into its own folder: no `.plug` file may lie in the repository."""

from __future__ import annotations

from pathlib import Path

# Enough to see that a bot receives and sends (Errbot has an `!echo` of its own): `!repeat words` answers, `!post room
# words` begins by itself, `!who` says how Errbot sees the one who asks. `!try expression` evaluates Python inside the
# bot and answers with the value or the error: for what only the backend's own client can do (`bot` is the backend).
ECHO = '''
from errbot import BotPlugin, botcmd


class Echo(BotPlugin):
    """Says what it is told."""

    @botcmd
    def repeat(self, message, args):
        return f"you said: {args}"

    @botcmd
    def post(self, message, args):
        room, words = args.split(" ", 1)
        self.send(self.build_identifier(room), words)

    @botcmd
    def who(self, message, args):
        return f"person {message.frm.person} aclattr {message.frm.aclattr} in {message.to} direct {message.is_direct}"

    @botcmd(name="try")
    def try_(self, message, args):
        try:
            return "value: " + repr(eval(args, {"bot": self._bot, "message": message}))
        except Exception as error:
            return f"raised: {type(error).__name__}: {error}"
'''


def write_plugin(folder: Path, source: str = ECHO, name: str = "Echo") -> Path:
    """Make a plugin out of the source of its module, whose class is `name`; returns its folder, for ErrbotProcess."""
    home = folder / f"plugin_{name.lower()}"
    home.mkdir(parents=True)
    (home / f"{name.lower()}.py").write_text(source)
    (home / f"{name.lower()}.plug").write_text(
        f"[Core]\nName = {name}\nModule = {name.lower()}\n[Python]\nVersion = 3\n"
    )
    return home
