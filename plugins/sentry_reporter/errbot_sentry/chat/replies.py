"""From a command's views to what the person reads; from its errors to one clear sentence."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator

from errbot_sentry.chat.render.layout import Layout
from errbot_sentry.chat.render.templates import Templates
from errbot_sentry.domain.conversation import Upload, View
from errbot_sentry.domain.errors import BadQuery, SentryReporterError

log = logging.getLogger("errbot.plugins.SentryReporter")  # unlike errbot_sentry's own loggers, this one is reported

SendFile = Callable[[Upload], bool]
"""Sends a file to where the command was typed; False where it could not."""

FAILED = "SentryReporter itself failed. Ask whoever runs the bot to look at its log."


def _sentence(error: SentryReporterError) -> str:
    """The sentence of an error; where the server refuses a request, with its own reason, which is escaped too."""
    if isinstance(error, BadQuery) and error.detail:
        return f"{error} It says: {error.detail}"
    return str(error)


class Replies:
    """Renders replies for one backend."""

    def __init__(self, templates: Templates, layout: Layout) -> None:
        self._escape = templates.escape
        self._templates = templates
        self._layout = layout

    def of(self, command: str, views: Iterable[View], send_file: SendFile | None = None) -> Iterator[str]:
        """The messages of a command, as its views come; an error ends them with its sentence and is never raised.

        `send_file` sends the file that goes with a view, where one does.
        """
        try:
            for view in views:
                values = view.values
                if view.upload is not None and send_file is not None and send_file(view.upload):
                    values = {**values, "uploaded": True}
                yield from self._layout.messages(self._templates.render(view.template, values))
        except SentryReporterError as error:
            log.info("!sentry %s: %s (cause: %r)", command, error, error.__cause__)
            yield from self._layout.messages(self._escape.text(_sentence(error)))
        except Exception:  # whatever failed, the person gets an answer
            log.exception("!sentry %s failed", command)
            yield FAILED

    def notice(self, heading: str, sentences: Iterable[str]) -> list[str]:
        """The messages of a heading with one line per sentence, all of them escaped."""
        return self._layout.messages("\n".join(self._escape.text(line) for line in (f"{heading}:", *sentences)))
