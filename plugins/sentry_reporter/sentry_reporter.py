"""SentryReporter, the Errbot plugin: its commands and its lifecycle. The package `errbot_sentry` does the work."""

import importlib
import sys
from contextlib import nullcontext
from pathlib import Path

from errbot import BotPlugin, botcmd

_PACKAGE = "errbot_sentry"
_HOME = Path(__file__).resolve().parent / _PACKAGE


def _stamp():
    """The package's files with their times and sizes, to notice changes: Errbot's reload runs only this file again."""
    return sorted((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in _HOME.rglob("*.py"))


def _forget():
    """Remove the package from the loaded modules. Returns the removed modules by name."""
    names = [name for name in sys.modules if name == _PACKAGE or name.startswith(_PACKAGE + ".")]
    return {name: sys.modules.pop(name) for name in names}


def _load():
    """The module `app`, loaded again if files have changed. If that fails, the old modules stay (docs/adr/0002)."""
    changed = getattr(sys.modules.get(_PACKAGE), "stamp", None) not in (None, _stamp())
    old = _forget() if changed else {}
    importlib.invalidate_caches()
    try:
        package = importlib.import_module(_PACKAGE)
        root = importlib.import_module(f"{_PACKAGE}.app")
    except BaseException:
        _forget()
        sys.modules.update(old)
        raise
    if Path(package.__file__).resolve().parent != _HOME:
        raise ImportError(f"{_PACKAGE} is installed twice: {package.__file__} hides {_HOME}. Remove one of them.")
    package.stamp = _stamp()
    # Errbot puts every folder of an installed plugin on the path. Our inner folders would hide other plugins' modules.
    sys.path[:] = [place for place in sys.path if _HOME not in (Path(place), *Path(place).parents)]
    return root


app = _load()


class SentryReporter(BotPlugin):
    """Reports the bot's errors to Sentry, answers !sentry commands, and brings alerts into rooms."""

    def __init__(self, bot, name=None):
        super().__init__(bot, name)
        # At load time, so that errors are reported of plugins that load or activate later than this one.
        self._app = self._prepared()
        if not bot.plugin_manager.is_plugin_blacklisted(name):
            self._app.await_connection()

    def activate(self):
        super().activate()
        # Errbot keeps this instance when it activates the plugin again, perhaps after it has loaded new code.
        if self._app is None or not self._app.start():
            self._app = self._prepared()
            self._app.start()

    def callback_connect(self):
        if self._app is not None:
            self._app.connected()

    def deactivate(self):
        if self._app is not None and self._app.leave():
            self._app = None
        super().deactivate()

    def callback_message(self, message):
        if (messages := self._handler_of("messages")) is not None:
            messages.overheard(message)

    def callback_reaction(self, reaction):
        if (clicks := self._handler_of("clicks")) is not None:
            clicks.reacted(reaction)

    # For other plugins: self.get_plugin("SentryReporter").capture_exception(…); see docs/reporting.md.

    def capture_exception(self, exc=None, **tags):
        """Report an exception, by default the one being handled. Returns the event's id; None if nothing was sent."""
        return self._app.reporter.capture_exception(exc, **tags) if self._app else None

    def capture_message(self, text, level="info"):
        """Report a sentence at the level debug, info, warning, error or fatal. Returns the event's id, or None."""
        return self._app.reporter.capture_message(text, level) if self._app else None

    def set_tag(self, key, value):
        """Add a tag to later reports: inside a command until the command ends, otherwise in this thread."""
        if self._app:
            self._app.reporter.set_tag(key, value)

    def set_tags(self, tags):
        """Add several tags, as `set_tag` does."""
        if self._app:
            self._app.reporter.set_tags(tags)

    def transaction(self, op, name):
        """Measure the body of a `with` as a transaction, if tracing is on."""
        return self._app.reporter.transaction(op, name) if self._app else nullcontext()

    def span(self, op, name):
        """Measure the body of a `with` as a part of the running transaction."""
        return self._app.reporter.span(op, name) if self._app else nullcontext()

    def _prepared(self):
        prepared = app.App(self._bot, lambda: self.is_activated, self.warn_admins)
        prepared.prepare()
        return prepared

    def _run(self, command, msg, words):
        if (messages := self._handler_of("messages")) is not None:
            yield from messages.replies(command, msg, words)

    def _handler_of(self, what):
        """The app's handler of "messages" or "clicks"; None before the activation and after the deactivation."""
        return getattr(self._app, what, None)


def _method(command, help_text):
    """The Errbot command for one of our commands. `!help sentry issues` shows its docstring."""

    def run(self, msg, args):
        yield from self._run(command, msg, args)

    run.__name__ = "sentry" if command == "sentry" else f"sentry_{command}"
    run.__doc__ = help_text
    return botcmd(run)


for _entry in app.COMMANDS:
    for _name in (_entry.name, *_entry.aliases):
        _made = _method(_name, app.help_text(_entry))
        setattr(SentryReporter, _made.__name__, _made)
