"""What the bot's other plugins mean for us: a second copy of SentryReporter, and whether Errbot's web server runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_PLUG = "sentry_reporter.plug"


def copies_of_us(bot: Any) -> list[Path]:
    """The folders of all copies that Errbot finds. It loads the first and ignores the others, with a line in its log
    (errbot/plugin_manager.py, `_load_plugins_generic`): an update of the wrong copy then changes nothing."""
    places = getattr(getattr(bot, "plugin_manager", None), "plugin_places", ())
    found = {plug.resolve().parent for place in places for plug in Path(place).glob(f"**/{_PLUG}")}
    return sorted(found)


def web_server_trouble(bot: Any) -> str:
    """Why Errbot's own web server does not run; "" where it does. It does not say so itself when its port is taken
    (errbot/core_plugins/webserver.py starts werkzeug in a thread, which ends there)."""
    plugins = getattr(bot, "plugin_manager", None)
    plugin = None if plugins is None else plugins.get_plugin_obj_by_name("Webserver")
    if plugin is None or not plugin.is_activated:
        return "Errbot's web server is off: set SENTRY_WEBHOOK_LISTEN, or see `!plugin config Webserver`"
    thread = getattr(plugin, "server_thread", None)
    if thread is not None and not thread.is_alive():
        return "Errbot's web server has ended: another program probably uses its port (`!plugin config Webserver`)"
    return ""
