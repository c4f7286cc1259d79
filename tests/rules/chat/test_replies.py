"""What a person reads when a command fails."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from errbot_sentry.chat.render.layout import Layout
from errbot_sentry.chat.render.templates import FAILED, Replies, Templates
from errbot_sentry.domain.conversation import View
from errbot_sentry.domain.errors import BadQuery, MissingScope


def answers(error: Exception) -> list[str]:
    def views() -> Iterator[View]:
        raise error
        yield View("never")

    return list(Replies(Templates("slackv3"), Layout("slackv3", 4096)).of("issues", views()))


def test_the_servers_own_words_say_what_is_wrong_with_a_question_and_stay_words() -> None:
    (said,) = answers(BadQuery("It is refused (400).", detail="Invalid *date*: <!channel> @here `x`"))
    assert said.replace("\u200b", "|") == (
        r"It is refused \(400\)\. It says: Invalid \*date\*: &lt;|\!channel\> @|here \`x\`"
    )
    assert answers(BadQuery("It is refused (400).")) == [r"It is refused \(400\)\."]


@pytest.mark.parametrize(
    ("error", "answer"),
    [(MissingScope("Not allowed.", detail="secret"), r"Not allowed\."), (ValueError("token=abc"), FAILED)],
)
def test_other_failures_show_no_foreign_words(error: Exception, answer: str) -> None:
    assert answers(error) == [answer]
