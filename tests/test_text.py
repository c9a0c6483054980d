from __future__ import annotations

import pytest
from github_runner import heard
from hypothesis import given, settings
from hypothesis import strategies as st

from constructs_lib import text

PORTS = [f"port-{number:02}" for number in range(20)]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (text.plural(1, "pod"), "1 pod"),
        (text.plural(0, "pod"), "0 pods"),
        (text.plural(2, "pod finds", "pods find"), "2 pods find"),
        (text.joined(["a"], "or"), "a"),
        (text.joined(["a", "b"], "or"), "a or b"),
        (text.joined(iter("abc"), "and"), "a, b and c"),
        (text.listed([]), ""),
        (text.listed("abc"), "a, b, c"),
        (text.listed("abcde"), "a, b, c and 2 more"),
        (text.listed("abc", most=1), "a and 2 more"),
        (text.sentence("it is"), "It is"),
        (text.sentence(""), ""),
        (text.nearest("gprc", ["http", "grpc"]), 'did you mean "grpc"?'),
        (text.nearest("GRPC", ["http", "grpc"]), 'did you mean "grpc"?'),
        (text.nearest("managment", ["http", "management"]), 'did you mean "management"?'),
        (text.nearest("amqp", ["http", "grpc"]), "one of grpc, http."),
        (text.nearest("amqp", ["http"]), 'there is only "http".'),
        (text.nearest("amqp", []), "there is none."),
        (text.nearest("amqp", PORTS), f"one of {', '.join(PORTS[:12])}, … (20 in all)."),
        (text.hint("port", "htpp", ["http", "grpc"]), 'As the port, did you mean "http"?'),
        (text.hint("port", "http", []), ""),
        (text.within("shop"), " in the namespace shop"),
        (text.within(""), ""),
    ],
)
def test_words(said: str, expected: str) -> None:
    assert said == expected


@pytest.mark.parametrize(
    ("value", "shown", "given"),
    [
        ("web", '"web"', '"web"'),
        ('a "b"', '"a \\"b\\""', '"a \\"b\\""'),
        ("é", '"é"', '"é"'),
        ("\x1b[31m", '"\\u001b[31m"', '"\\u001b[31m"'),
        ("\ud83d", '"\\ud83d"', '"\\ud83d"'),
        ("x" * 61, f'"{"x" * 60}…"', f'"{"x" * 60}…"'),
        (None, "None", "null"),
        (True, "True", "true"),
        (1.5, "1.5", "1.5"),
        ([1], "a list", "a list"),
        ({}, "a dict", "a mapping"),
        (object(), "an object of type object", "an object of type object"),
    ],
)
def test_values(value: object, shown: str, given: str) -> None:
    assert (text.shown(value), text.given(value)) == (shown, given)


@settings(max_examples=30)
@given(st.lists(st.text(), max_size=5), st.text(min_size=1))
def test_closest_is_a_known_word(known: list[str], word: str) -> None:
    assert text.closest(word, known) in {None, *known}
    assert text.closest(word, [word]) == word


@given(st.text())
def test_a_value_is_one_line_that_can_be_printed(value: str) -> None:
    assert len(text.shown(value).encode().splitlines()) == 1


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("::add-mask::word", "│::add-mask::word"),
        ("one\n \t\u3000::stop-commands::deadbeef\n", "one\n│ \t\u3000::stop-commands::deadbeef\n"),
        ("said ##[error]something", "said ##│[error]something"),
        ("std::vector, a # [x] and ## [y]", "std::vector, a # [x] and ## [y]"),
    ],
)
def test_a_log_has_no_commands_in_it(line: str, shown: str) -> None:
    """The runner trims a line, and has an older form of commands that it finds anywhere."""
    assert text.unheard(line) == shown
    assert [*heard(text.unheard(line))] == []
