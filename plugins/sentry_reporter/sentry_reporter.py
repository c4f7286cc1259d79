"""SentryReporter, the Errbot plugin: commands and lifecycle. What they do is in the package `errbot_sentry` beside it."""

import importlib
import sys
from pathlib import Path

from errbot import BotPlugin, botcmd

_PACKAGE = "errbot_sentry"
_HOME = Path(__file__).resolve().parent / _PACKAGE


def _stamp():
    """What the package's files look like now: Errbot's reload runs only this file again, so we look ourselves."""
    return sorted((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in _HOME.rglob("*.py"))


def _forget():
    """Take the package out of the loaded modules and return what was taken."""
    names = [name for name in sys.modules if name == _PACKAGE or name.startswith(_PACKAGE + ".")]
    return {name: sys.modules.pop(name) for name in names}


def _load():
    """The package's parts, read anew if files changed; if that fails, the old ones stay in force (docs/adr/0002)."""
    changed = getattr(sys.modules.get(_PACKAGE), "stamp", None) not in (None, _stamp())
    old = _forget() if changed else {}
    importlib.invalidate_caches()
    try:
        package = importlib.import_module(_PACKAGE)
        parts = [importlib.import_module(f"{_PACKAGE}.{name}") for name in ("runtime", "chat.asks")]
    except BaseException:
        _forget()
        sys.modules.update(old)
        raise
    if Path(package.__file__).resolve().parent != _HOME:
        raise ImportError(f"{_PACKAGE} is installed twice: {package.__file__} hides {_HOME}. Remove one of them.")
    package.stamp = _stamp()
    # Errbot puts every folder of an installed plugin on the path; our inner ones would hide other plugins' modules.
    sys.path[:] = [place for place in sys.path if _HOME not in (Path(place), *Path(place).parents)]
    return parts


runtime, asks = _load()


class SentryReporter(BotPlugin):
    """Sentry in chat: the bot's own errors reported, issues read and resolved, alerts without the noise."""

    def __init__(self, bot, name=None):
        super().__init__(bot, name)
        # At load time, so that errors of plugins that load or activate after us are seen too.
        self._runtime = runtime.Runtime(self, bot)
        self._runtime.start_reporting()

    def activate(self):
        super().activate()
        if self._runtime is None:  # activated again, perhaps with new code: errbot keeps the instance
            self._runtime = runtime.Runtime(self, self._bot)
            self._runtime.start_reporting()
        self._runtime.start()

    def deactivate(self):
        if self._runtime is not None:
            self._runtime.close()
            self._runtime = None
        super().deactivate()

    def _run(self, command, msg, words):
        current = self._runtime
        if current is not None:
            yield from current.replies(command, asks.ask_of(msg, words))

    @botcmd
    def sentry(self, msg, args):
        """What is connected, and what you may do here."""
        yield from self._run("sentry", msg, args)

    @botcmd
    def sentry_issues(self, msg, args):
        """Unresolved issues: !sentry issues [QUERY] [-p PROJECT] [-e ENV] [-s date|new|freq|user] [-t 24h] [-n 10]"""
        yield from self._run("issues", msg, args)

    @botcmd
    def sentry_next(self, msg, args):
        """The following page of the last list here."""
        yield from self._run("next", msg, args)

    @botcmd
    def sentry_prev(self, msg, args):
        """The previous page of the last list here."""
        yield from self._run("prev", msg, args)

    @botcmd
    def sentry_issue(self, msg, args):
        """One issue whole: !sentry issue WEB-1A, or #3 of the last list, an id, a URL, @latest"""
        yield from self._run("issue", msg, args)

    @botcmd
    def sentry_resolve(self, msg, args):
        """Resolve issues: !sentry resolve #1 #2"""
        yield from self._run("resolve", msg, args)

    @botcmd
    def sentry_reopen(self, msg, args):
        """Open issues again: !sentry reopen WEB-1A"""
        yield from self._run("reopen", msg, args)

    @botcmd
    def sentry_unresolve(self, msg, args):
        """The same as !sentry reopen."""
        yield from self._run("reopen", msg, args)

    @botcmd
    def sentry_status(self, msg, args):
        """How each flow is: reporting, the server, webhooks, polling, delivery, the database."""
        yield from self._run("status", msg, args)

    @botcmd
    def sentry_test(self, msg, args):
        """Send a test event through the whole way and follow it to the server."""
        yield from self._run("test", msg, args)
