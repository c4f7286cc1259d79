"""Words and options as people, phones and word processors type them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errbot_sentry.commands.command_context import Command, Option, ParsedCommand
from errbot_sentry.commands.parser import names, parse, row_limit, sort_order, span
from errbot_sentry.commands.registry import COMMANDS
from errbot_sentry.domain.conversation import Conversation, Invocation, Person
from errbot_sentry.domain.errors import UsageError
from errbot_sentry.domain.typed_text import leading_word, plain_dashes, split_before, unquote


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
    assert split_before(typed, ()) == (words, None)


@pytest.mark.parametrize("typed", ['message:"a b', '"', "“never closed", 'a "b" "c'])
def test_an_open_quote_is_refused(typed: str) -> None:
    with pytest.raises(UsageError, match="Unclosed quote"):
        split_before(typed, ())


@given(st.text(max_size=200))
def test_any_text_is_split_or_refused(typed: str) -> None:
    try:
        words, _rest = split_before(typed, ())
    except UsageError:
        return
    assert all(words)
    assert not any("\n" in word or "\x00" in word for word in words)


def test_the_rest_after_the_leading_word_is_left_alone() -> None:
    assert leading_word("  #1  it's “fixed”,  I think") == ("#1", "it's “fixed”,  I think")
    assert leading_word("#1") == ("#1", "")


def test_quotes_and_dashes_of_values() -> None:
    assert unquote('"a \\"b\\""') == 'a "b"'
    assert unquote('a"b"') == 'a"b"'
    assert plain_dashes("WEB–1A") == "WEB-1A"


ENTRY = Command(
    "issues",
    "what it does",
    lambda _context, _typed: iter(()),
    args="[QUERY] [-n 10]",
    options=(
        Option(("-n", "--limit"), "limit", row_limit, 10),
        Option(("-p", "--project"), "project", str, many=True),
        Option(("-s", "--sort"), "sort", sort_order, "date"),
        Option(("-t", "--period"), "period", span),
        Option(("--yes",), "yes"),
    ),
)


def read(words: str, entry: Command = ENTRY) -> ParsedCommand:
    return parse(entry, Invocation(Person("ann", "Ann"), Conversation("#ops"), words))


def test_options_stand_anywhere_and_words_keep_their_order() -> None:
    typed = read('a -n 5 "b c" --project web d -p "my api" -t24h --yes')
    options = typed.options
    assert (options.limit, options.project, options.period) == (5, ["web", "my api"], timedelta(days=1))
    assert options.yes
    assert typed.words == ("a", '"b c"', "d")
    assert names(options.project) == ("web", "my api")


def test_after_two_dashes_nothing_is_an_option() -> None:
    typed = read("-n 3 -- -n 5 --yes")
    assert typed.options.limit == 3
    assert typed.words == ("-n", "5", "--yes")


def test_reading_twice_shares_nothing() -> None:
    read("-p web -n 3")
    options = read("").options
    assert (options.project, options.limit) == ([], 10)


def test_one_parser_serves_many_threads() -> None:
    def reads(number: int) -> bool:
        typed = read(f"w{number} -n {number} -p p{number}")
        options = typed.options
        return (options.limit, options.project, typed.words) == (number, [f"p{number}"], (f"w{number}",))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(reads, [1 + n % 100 for n in range(800)]))


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("--porject web", "Unknown option '--porject'; did you mean --project?"),
        ("--limt=3", "Unknown option '--limt'; did you mean --limit?"),
        ("-x", "Unknown option '-x'."),
        ("-n", "-n/--limit needs a value. Usage"),
        ("-n 0", "'0' is not a number from 1 to 100"),
        ("-n 101", "not a number from 1 to 100"),
        ("-n many", "not a number from 1 to 100"),
        ("-n ١", "not a number from 1 to 100"),
        ("-s frequency", "not one of date, new, freq, user; did you mean freq? Usage"),
        ("-t yesterday", "isn't a valid duration; try"),
        ("-t 0s", "more than zero"),
        ("--yes=no", "--yes takes no value. Usage"),
    ],
)
def test_a_mistake_names_what_is_wanted(typed: str, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(typed)
    assert sentence in str(caught.value)
    assert str(caught.value).endswith("Usage: !sentry issues [QUERY] [-n 10]")


def test_names_are_joined_by_commas_too() -> None:
    assert names(["web,api", "web", ' "x y" ,']) == ("web", "api", "x y")


OPTIONS = [(entry, option) for entry in COMMANDS for option in entry.options]
VALUES = {"limit": "7", "sort": "new", "span": "2h", "seen_within": "2h", "length": "2h"}


@pytest.mark.parametrize(("entry", "option"), OPTIONS, ids=[f"{entry.name} {option.name}" for entry, option in OPTIONS])
def test_every_option_of_every_command_takes_every_spelling(entry: Command, option: Option) -> None:
    """`-d 2h`, `-d2h`, `--duration=2h`, the dashes of phones and their quotes; before and after the words."""
    flag = option.read is None and not option.to_the_end
    value = VALUES.get(option.name, "web")
    before = "" if option.to_the_end or entry.most_words == 0 else " WEB-1"
    found = []
    for name in option.names:
        dashes = ("-", "—", "–", "−") if len(name) == 2 else ("--", "—", "–", "−−")
        for typed_name in (dash + name.lstrip("-") for dash in dashes):
            joined = typed_name + ("" if len(name) == 2 else "=") + value
            spaced = [f"{typed_name} {value}", f"{typed_name} “{value}”"] if not option.to_the_end else []
            for spelling in [typed_name] if flag else [f"{typed_name} {value}", joined, *spaced]:
                for words in (spelling + before, f"{before} {spelling}"):
                    typed = read(words, entry)
                    assert typed.words == tuple(before.split()), words
                    found.append(str(getattr(typed.options, option.name)))
    assert len(set(found)) == 1, found
    assert found[0] != str(option.default)


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
@pytest.mark.parametrize("typed", ["--help", "-h", "—help", "–h"])
def test_every_command_has_help(entry: Command, typed: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(typed, entry)
    assert str(caught.value).casefold().startswith(entry.help[:20].casefold())
    assert str(caught.value).endswith(f"Usage: !{entry.usage}")


def test_text_for_people_is_not_searched_for_options() -> None:
    note = next(entry for entry in COMMANDS if entry.name == "note")
    typed = read('#1 "half --yes -x —help', note)
    assert typed.text == '#1 "half --yes -x —help'


@pytest.mark.parametrize("entry", [entry for entry in COMMANDS if entry.most_words is not None], ids=lambda e: e.name)
def test_a_word_too_many_is_named(entry: Command) -> None:
    words = [f"w{number}" for number in range(entry.most_words + 1)]
    with pytest.raises(UsageError, match=f"Unexpected word '{words[-1]}'. Usage: !sentry {entry.name}"):
        read(" ".join(words), entry)
