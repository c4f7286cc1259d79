"""The templates beside the plugin, rendered so that every value is escaped unless a filter made it markup.

With them a command's views become what the person reads, and its errors one clear sentence. A template holds markup
only. One line of it is one line in chat; `Layout` makes messages of the lines.
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
"""Sends a file to where the command was typed; False where it could not."""

FAILED = "SentryReporter itself failed. Ask whoever runs the bot to look at its log."

FOLDER = Path(__file__).resolve().parents[3] / "templates"


class Templates:
    """Renders `sentry_*` templates for one backend, each value by way of `escape`.

    Filters: none for running text, `code` between backticks, `exact` there for what people copy, `block` between
    fences, `href` for a link's target, `address` for a web address that stands by itself, `table` for the rows of a
    list, with all of their markup, and for lines to stand below them.
    Every template knows the bot's command `prefix`.
    """

    def __init__(self, mode: str, nicks: Nicks = frozenset, folder: Path = FOLDER, prefix: str = "!") -> None:
        escape = self.escape = Escape(mode, nicks)

        def finalize(value: object) -> Markup:
            if isinstance(value, Markup):
                return value
            return Markup("" if value is None else escape.text(value))  # noqa: S704 - escaped the line before

        self._environment = Environment(
            loader=FileSystemLoader(folder),
            autoescape=True,  # so that macros return Markup; finalize has escaped everything before
            finalize=finalize,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,  # else the files are looked at for each message
        )
        for name in ("code", "exact", "block", "href", "address"):
            self._environment.filters[name] = _as_markup(getattr(escape, name))
        self._environment.globals["prefix"] = prefix
        self._environment.filters["table"] = _as_markup(Table(mode, escape).render)

    def render(self, template: str, values: Mapping[str, object]) -> str:
        """The lines of a template (named without folder and ending) with these values.

        Raises:
            jinja2.TemplateError: a mistake in the template itself, never in the values.
        """
        return self._environment.get_template(f"{template}.md").render(values).strip("\n")


class PlainTemplates:
    """The same as plain text, for what is no chat network; for one thread, as Errbot's converter is."""

    def __init__(self) -> None:
        self._templates = Templates("text")
        self._convert = rendering.text().convert

    def render(self, template: str, values: Mapping[str, object]) -> str:
        """The text of a template (named without folder and ending) with these values."""
        text: str = self._convert(self._templates.render(template, values))
        return text.strip()


def _as_markup(escape_one: Callable[..., str]) -> Callable[..., Markup]:
    def as_markup(value: object, *more: object) -> Markup:
        return Markup("" if value is None else escape_one(value, *more))  # noqa: S704 - this is the escaping

    return as_markup


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
