"""Manifests as YAML: what is written reads back the same everywhere, and reads well."""

from __future__ import annotations

import io

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from constructs_lib.kubernetes.manifest_yaml import dump

GOLDEN = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
  annotations:
    example.org/json: '{"a": "b"}'
    example.org/on: "on"
  labels: {}
spec:
  replicas: 3
  paused: false
  ratio: 0.5
  nothing: null
  template:
    spec:
      containers:
      - name: shop
        image: registry.example.org:5000/shop:1.25.3
        args:
        - -c
        - --level=debug
        - "- x"
        command: []
        env:
        - name: PORT
          value: "8080"
        - name: SCRIPT
          value: |
            #!/bin/sh
            echo "hello"

              echo indented, trailing blank\x20
        - name: NO_BREAK
          value: |-
            a
            b
        - name: MANY_BREAKS
          value: |+
            a

        - name: LEADING_BLANK
          value: |2
              a
            b
      - - nested
        - - deeper
          - a: b
            c: d
"""

TRICKY = [
    *("", " ", "~", "null", "Null", "NULL", "true", "True", "false", "yes", "Yes", "no", "NO", "on"),
    *("off", "y", "N", "0", "-1", "+1", "012", "08", "0o7", "0x10", "0b11", "1_000", "1e3", "1E-3"),
    *("1.", ".5", "-.5", "1.5e+3", "_1", "12:30:45", "190:20:30.15", "2001-01-01", "2001-1-1 1:2:3"),
    *("2001-12-14t21:59:43.10-05:00", "-_", "+_1", "-0", ".inf", "-.INF", "+.inf", ".NaN", "nan", "="),
    *("<<", "<", "-", "--", "---", "--- a", "...", ". a", "-c", "- a", "?", "? a", "?a", ":", ": a"),
    *(":a", "a:", "a: b", "a:b", "a :b", "#", "#a", "a#", "a #b", "a\t#b", "a:#b", "[", "]", "{", "}"),
    *(",", "a, b", "{a}", "&a", "*a", "!a", "|", ">", "'", '"', "%", "@", "`", "\\", "it's", 'a"b'),
    *(" a", "a ", "\ta", "a\t", "a\tb", "a  b", "\n", "\n\n", "a\n", "a\n\n", "\na", " \na", "\n a"),
    *("a\n ", "a\n \n", "a \nb", "\t\na\n", "a\n\tb", "a\n---\nb", "# a\nb", "a\n# b\n", "a\r\nb"),
    *("a\rb", "\x00", "\x07", "\x1b", "\x7f", "\x85", "a\n\x85", "\xa0", "\u2028", "a\u2029b\n"),
    *("\ufeff", "\ufeffa\nb", "\ufffe", "\u202eabc", "é", "日本", "\U0001f600", "a" * 2000),
    *("a b " * 500 + "a", "key: |", "%YAML 1.1", "{{ .Values.a }}", "10.0.0.1", "1.2.3", "100m"),
    "8080:80",
]

texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text("aynoe01_.:-+#x ~<=\"'\\\n\t\r[]{}|>&*!%@`?,\x85\u2028\ufeffé"),
    st.sampled_from(TRICKY),
)
numbers = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
values = st.recursive(
    st.one_of(texts, numbers, st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)
manifests = st.dictionaries(texts, values, max_size=5)


def read_1_1(document: bytes) -> object:
    """Read as PyYAML's C parser does, which is of one family with the one in Argo CD."""
    return yaml.load(document, Loader=yaml.CSafeLoader)


def read_1_2(document: bytes) -> object:
    """Read by the rules of YAML 1.2."""
    return YAML(typ="safe", pure=True).load(io.BytesIO(document))


def places(text: str) -> dict[str, object]:
    """Give a manifest that holds a text in every kind of place."""
    return {text: [text, [text, text], {text: text}], "-": {text: {text: text}}, "last": text}


def test_golden() -> None:
    """The sample comes out exactly as written above."""
    manifest = yaml.load(GOLDEN, Loader=yaml.CSafeLoader)
    assert dump(manifest).decode() == GOLDEN
    assert read_1_2(GOLDEN.encode()) == manifest


@pytest.mark.parametrize("text", TRICKY)
def test_tricky_texts(text: str) -> None:
    """Texts that look like something else stay texts, as keys and as values."""
    document = dump(places(text))
    assert read_1_1(document) == places(text)
    assert read_1_2(document) == places(text)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("yes", '"yes"'),
        ("8080", '"8080"'),
        ("1e3", '"1e3"'),
        ("it's", "it's"),
        ("'a'", "\"'a'\""),
        ('{"a": 1}', "'{\"a\": 1}'"),
        ("\\d+: x", r"'\d+: x'"),
        ("a\tb", r'"a\tb"'),
        ("\u202eabc", r'"\u202eabc"'),
        ("https://example.org:80/#top", "https://example.org:80/#top"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10Gi", "10Gi"),
        ("größer", "größer"),
    ],
)
def test_quotes_only_where_needed(text: str, written: str) -> None:
    """Quotes are used where a reader needs them, of the kind that needs the fewest escapes."""
    assert dump({"a": text}) == f"a: {written}\n".encode()


@settings(max_examples=200)
@given(manifests)
def test_round_trip(manifest: dict[str, object]) -> None:
    """Any manifest reads back equal, types included, under both versions of YAML."""
    document = dump(manifest)
    assert repr(read_1_1(document)) == repr(manifest)
    assert repr(read_1_2(document)) == repr(manifest)


@settings(max_examples=500)
@given(texts)
def test_round_trip_of_texts(text: str) -> None:
    """Any text reads back equal from any place."""
    assert read_1_1(dump(places(text))) == places(text)


@pytest.mark.parametrize("number", [0, -7, 10**30, 0.1, -0.0, 2.0, 1e16, 1e-7, -1.5e300, True, False, None])
def test_numbers(number: object) -> None:
    """Numbers keep their value and their type."""
    document = dump({"a": number, "b": [number]})
    assert repr(read_1_1(document)) == repr({"a": number, "b": [number]})
    assert repr(read_1_2(document)) == repr({"a": number, "b": [number]})


def test_shared_parts_are_repeated() -> None:
    """There are no anchors, and an empty object is one."""
    shared = {"a": ["b"]}
    assert dump({"x": shared, "z": shared}) == b"x:\n  a:\n  - b\nz:\n  a:\n  - b\n"
    assert dump({}) == b"{}\n"


@pytest.mark.parametrize(
    ("manifest", "error", "message"),
    [
        (
            {"spec": {"items": [{"a": 1}, {"when": {1}}]}},
            TypeError,
            r"spec\.items\[1\]\.when: Kubernetes objects hold no values of type set",
        ),
        ({"data": {"a": b"x"}}, TypeError, r"data\.a: Kubernetes objects hold no values of type bytes"),
        ({"data": {1: "x"}}, TypeError, r"data: the key 1 is of type int, not a text"),
        ({"a": [[float("nan")]]}, ValueError, r"a\[0\]\[0\]: nan is no number"),
        ({"a": float("-inf")}, ValueError, r"a: -inf is no number"),
        ({"a": "x\ud800"}, ValueError, r"half a surrogate pair"),
        ({"a": "x\ny\udc00\n"}, ValueError, r"half a surrogate pair"),
    ],
)
def test_refused_values(manifest: dict[str, object], error: type[Exception], message: str) -> None:
    """What Kubernetes cannot hold is refused with the path to it."""
    with pytest.raises(error, match=message):
        dump(manifest)
