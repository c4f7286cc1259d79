"""Renders the templates in the plugin's folder. Every value is escaped, unless a filter has made it markup.

`Replies` turns a command's views into the text that the person reads, and its errors into one clear sentence. One line
of a template is one line in chat; `Layout` makes messages of the lines.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from errbot import rendering
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from errbot_sentry.chat.nicks import Nicks
from errbot_sentry.chat.render.columns import Table
from errbot_sentry.chat.render.escaping import Escape
from errbot_sentry.chat.render.layout import Layout
from errbot_sentry.domain.conversation import Upload, View
from errbot_sentry.domain.errors import BadQuery, SentryReporterError

log = logging.getLogger("errbot.plugins.SentryReporter")  # unlike errbot_sentry's own loggers, this one is reported

SendFile = Callable[[Upload], bool]
"""Sends a file to where the command was typed. Returns whether it could."""

FAILED = "SentryReporter itself failed. Ask whoever runs the bot to look at its log."

FOLDER = Path(__file__).resolve().parents[3] / "templates"


class Templates:
    """Renders `sentry_*` templates for one backend, and escapes each value with `escape`.

    A value in running text needs no filter. The other filters are: `code` between backticks; `exact` between backticks
    for text that people copy; `block` between fences; `href` for a link's target; `address` for a web address that
    stands by itself; `table` for the rows of a list, with all of their markup, and lines below them. The bot's command
    prefix is `prefix` in every template.
    """

    def __init__(self, mode: str, nicks: Nicks = frozenset, folder: Path = FOLDER, prefix: str = "!") -> None:
        escape = self.escape = Escape(mode, nicks)

        def finalize(value: object) -> Markup:
            if isinstance(value, Markup):
                return value
            return Markup("" if value is None else escape.text(value))  # noqa: S704 - escaped the line before

        self._environment = Environment(
            loader=FileSystemLoader(folder),
            autoescape=True,  # makes macros return Markup; `finalize` has already escaped every value
            finalize=finalize,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,  # otherwise Jinja checks the files for each message
        )
        for name in ("code", "exact", "block", "href", "address"):
            self._environment.filters[name] = _as_markup(getattr(escape, name))
        self._environment.globals["prefix"] = prefix
        self._environment.filters["table"] = _as_markup(Table(mode, escape).render)

    def render(self, template: str, values: Mapping[str, object]) -> str:
        """Render a template, named without folder and suffix, with these values.

        Raises:
            jinja2.TemplateError: a mistake in the template itself, never in the values.
        """
        return self._environment.get_template(f"{template}.md").render(values).strip("\n")


class PlainTemplates:
    """Renders templates as plain text, for services that are not chat networks.

    Use each object in one thread only: Errbot's converter is not safe for several.
    """

    def __init__(self) -> None:
        self._templates = Templates("text")
        self._convert = rendering.text().convert

    def render(self, template: str, values: Mapping[str, object]) -> str:
        """Render a template, named without folder and suffix, with these values."""
        text: str = self._convert(self._templates.render(template, values))
        return text.strip()


def _as_markup(escape_one: Callable[..., str]) -> Callable[..., Markup]:
    def as_markup(value: object, *more: object) -> Markup:
        return Markup("" if value is None else escape_one(value, *more))  # noqa: S704 - this is the escaping

    return as_markup


def _sentence(error: SentryReporterError) -> str:
    """The sentence of an error. If the server refused a request, the server's own reason follows. Not escaped."""
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
        """The messages of a command, view by view. An error is never raised: its sentence is the last message.

        `send_file` sends the file of a view that has one.
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
        except Exception:  # the person gets an answer to any failure
            log.exception("!sentry %s failed", command)
            yield FAILED

    def notice(self, heading: str, sentences: Iterable[str]) -> list[str]:
        """The messages of a notice: the heading, then one line per sentence. All text is escaped."""
        return self._layout.messages("\n".join(self._escape.text(line) for line in (f"{heading}:", *sentences)))
