"""Words and options as people, phones and word processors type them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errbot_sentry.commands import parser as option_parser
from errbot_sentry.commands.typed_words import leading_word, plain_dashes, split_words, unquote
from errbot_sentry.domain.errors import UsageError


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("", ()),
        ("  is:unresolved   timeout ", ("is:unresolved", "timeout")),
        ('message:"a b" -n 3', ('message:"a b"', "-n", "3")),
        ("“out of memory” —limit=3", ('"out of memory"', "--limit=3")),
        ("it's o’clock", ("it's", "o'clock")),
        (r'say:"a \"b\" c" d', (r'say:"a \"b\" c"', "d")),
        ("–n 5 —yes –yes ‑n5 a—b", ("-n", "5", "--yes", "--yes", "-n5", "a—b")),
        ("a\u00a0b\tc\nd", ("a", "b", "c", "d")),
        ("WEB\u200b-1 \u202eabc\x00", ("WEB-1", "abc")),
        ("!level:error", ("!level:error",)),
    ],
)
def test_words(typed: str, words: tuple[str, ...]) -> None:
    assert split_words(typed) == words


@pytest.mark.parametrize("typed", ['message:"a b', '"', "“never closed", 'a "b" "c'])
def test_an_open_quote_is_refused(typed: str) -> None:
    with pytest.raises(UsageError, match="not closed"):
        split_words(typed)


@given(st.text(max_size=200))
def test_any_text_is_split_or_refused(typed: str) -> None:
    try:
        words = split_words(typed)
    except UsageError:
        return
    assert all(words)
    assert not any("\n" in word or "\x00" in word for word in words)


def test_the_rest_after_the_first_word_is_left_alone() -> None:
    assert leading_word("  #1  it's “fixed”,  I think") == ("#1", "it's “fixed”,  I think")
    assert leading_word("#1") == ("#1", "")


def test_quotes_and_dashes_of_values() -> None:
    assert unquote('"a \\"b\\""') == 'a "b"'
    assert unquote('a"b"') == 'a"b"'
    assert plain_dashes("WEB–1A") == "WEB-1A"


@pytest.fixture
def parser() -> option_parser.OptionParser:
    made = option_parser.OptionParser("!sentry issues [QUERY] [-n 10]")
    made.add_argument("-n", "--limit", type=option_parser.row_limit, default=10)
    made.add_argument("-p", "--project", action="append", default=[])
    made.add_argument("-s", "--sort", type=option_parser.sort_order, default="date")
    made.add_argument("-t", "--period", type=option_parser.span)
    made.add_argument("--yes", action="store_true")
    return made


def test_options_stand_anywhere_and_words_keep_their_order(parser: option_parser.OptionParser) -> None:
    options, words = parser.read('a -n 5 "b c" --project web d -p "my api" -t24h --yes')
    assert (options.limit, options.project, options.period) == (5, ["web", '"my api"'], timedelta(days=1))
    assert options.yes
    assert words == ["a", '"b c"', "d"]
    assert option_parser.names(options.project) == ("web", "my api")


def test_after_two_dashes_nothing_is_an_option(parser: option_parser.OptionParser) -> None:
    options, words = parser.read("-n 3 -- -n 5 --yes")
    assert options.limit == 3
    assert words == ["-n", "5", "--yes"]


def test_reading_twice_shares_nothing(parser: option_parser.OptionParser) -> None:
    parser.read("-p web -n 3")
    options, _ = parser.read("")
    assert (options.project, options.limit) == ([], 10)


def test_one_parser_serves_many_threads(parser: option_parser.OptionParser) -> None:
    def read(number: int) -> bool:
        options, words = parser.read(f"w{number} -n {number} -p p{number}")
        return (options.limit, options.project, words) == (number, [f"p{number}"], [f"w{number}"])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, [1 + n % 100 for n in range(800)]))


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("--porject web", "There is no option '--porject' here; did you mean --project?"),
        ("--limt=3", "There is no option '--limt' here; did you mean --limit?"),
        ("-x", "There is no option '-x' here."),
        ("-n", "expected one argument"),
        ("-n 0", "'0' is not a number from 1 to 100"),
        ("-n 101", "not a number from 1 to 100"),
        ("-n many", "not a number from 1 to 100"),
        ("-n ١", "not a number from 1 to 100"),
        ("-s frequency", "not one of date, new, freq, user; did you mean freq? Usage"),
        ("-t yesterday", "not a duration such as"),
        ("-t 0s", "longer than nothing"),
        ("--yes=no", "ignored explicit argument"),
    ],
)
def test_a_mistake_names_what_is_wanted(parser: option_parser.OptionParser, typed: str, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        parser.read(typed)
    assert sentence in str(caught.value)
    assert str(caught.value).endswith("Usage: !sentry issues [QUERY] [-n 10]")


def test_names_are_joined_by_commas_too() -> None:
    assert option_parser.names(["web,api", "web", ' "x y" ,']) == ("web", "api", "x y")
