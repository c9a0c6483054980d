"""Files as objects: YAML and JSON as Argo CD reads them, and never an exception."""

from __future__ import annotations

import json

import pytest

from constructs_lib.argocd.objects import Object, parse, unreadable
from constructs_lib.kubernetes.manifest_reader import Cache

HEAD = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: ns}\n"


def one(content: bytes, path: str = "a.yaml") -> Object:
    (found,) = parse(path, content)
    return found


def test_several_documents_some_of_them_empty() -> None:
    second = HEAD.replace(b"name: a", b"name: b")
    found = parse("a.yaml", b"---\n# nothing\n---\n" + HEAD + b"---\n\n---\n" + second + b"...\n")
    assert [item.identity for item in found] == [("", "ConfigMap", "ns", "a"), ("", "ConfigMap", "ns", "b")]


def test_lists_are_taken_apart() -> None:
    inner = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}
    nested = {
        "apiVersion": "v1",
        "kind": "List",
        "items": [inner, {"apiVersion": "v1", "kind": "List", "items": [inner]}],
    }
    assert [item.kind for item in parse("a.json", json.dumps(nested).encode())] == ["Secret", "List"]


@pytest.mark.parametrize("content", [b"", b"- 1\n", b"a: b\n", b"null\n", b"text\n", b"kind: 5\n"])
def test_what_is_no_object_is_skipped(content: bytes) -> None:
    assert parse("a.yaml", content) == []
    assert unreadable("a.yaml", content) is None


@pytest.mark.parametrize("content", [b"kind: Values\n", b"apiVersion: 1\nkind: a\n"])
def test_what_has_no_version_is_deployed_only_where_an_application_reads_it(content: bytes) -> None:
    problem = unreadable("a.yaml", content)
    assert problem is not None and "has no apiVersion" in problem.reason
    assert unreadable("a.yaml", content, strict=False) is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (HEAD + b"---\na: b\n", "what begins in line 5 has no kind"),
        (HEAD + b"--- {a: b}\n", "there is more than --- in line 4, where a document begins"),
        (HEAD + b"---\n" + HEAD + b"data: [\n", "did not find expected node content in line 9"),
        (b'{"apiVersion": "v1", "kind": "a"}\n' * 2 + b"---\n", "Expecting value: line 3 column 1"),
        (
            b"apiVersion: v1\nkind: ConfigMapList\nmetadata: {}\nitems: [{metadata: {name: a}}]\n",
            "item 0 of what begins",
        ),
    ],
)
def test_all_of_a_file_is_read_or_nothing(content: bytes, reason: str) -> None:
    problem = unreadable("a.yaml", content)
    assert problem is not None and problem.reason.startswith(reason)
    assert parse("a.yaml", content) == []


def test_our_own_bounds_hide_nothing() -> None:
    """What Argo CD reads and we do not is never taken for something else, whatever its words look like."""
    long = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k" * 3000: "v"}}
    problem = unreadable("a.yaml", json.dumps(long).encode())
    assert problem is not None and problem.reason == "a key of 3000 characters"


def test_json_in_yaml_is_read_one_after_the_other() -> None:
    texts = [json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}) for name in "abc"]
    assert [item.name for item in parse("a.yaml", "\n".join(texts).encode())] == ["a", "b", "c"]
    assert [item.name for item in parse("a.yaml", f"{texts[0]}\n---\n{HEAD.decode()}".encode())] == ["a", "a"]
    assert unreadable("a.json", "\n".join(texts).encode()) is not None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"!vault secret", "secret"),
        (b"!!binary aGVsbG8=", "hello"),
        (b"\xff", "\N{REPLACEMENT CHARACTER}"),
        (b"[&a 1, &a 2, *a]", [1, 2, 2]),
    ],
)
def test_what_only_other_readers_refuse(text: bytes, value: object) -> None:
    assert one(HEAD + b"spec: " + text + b"\n").manifest["spec"] == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True),
        ("Off", False),
        ("y", True),
        ("~", None),
        ("2001-01-01", "2001-01-01"),
        ("2001-01-01T00:00:00Z", "2001-01-01T00:00:00Z"),
        ("22:22", "22:22"),
        ("0755", 493),
        ("0o755", 493),
        ("0x1f", 31),
        ("1_000", 1000),
        ("1e3", 1000.0),
        ("1.5", 1.5),
        ("-7", -7),
        ('"yes"', "yes"),
        ("=", "="),
        ("1.2.3", "1.2.3"),
    ],
)
def test_scalars_are_read_as_argo_cd_reads_them(text: str, value: object) -> None:
    assert one(HEAD + f"data: {{a: {text}}}\n".encode()).manifest["data"]["a"] == value


def test_keys_are_texts() -> None:
    assert one(HEAD + b"data: {on: a, 2: b, 1: c}\n").manifest["data"] == {"true": "a", "2": "b", "1": "c"}


def test_anchors_and_merge_keys() -> None:
    found = one(HEAD + b"data: {a: &x {b: 1}, c: *x, d: {<<: *x, e: 2}}\n")
    assert found.manifest["data"] == {"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}}


@pytest.mark.parametrize(
    "content",
    [
        b"spec: {{ .Values.spec }}\n",
        b"spec: [\n",
        b"spec: &a [*a]\n",
        b"spec: " + b"[" * 100_000,
        b"spec:\n  " + b"- " * 100_000 + b"1\n",
        b"spec: *missing\n",
        b"a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
        + b"".join(
            b"%c: &%c [%s]\n" % (letter + 1, letter + 1, b", ".join([b"*%c" % letter] * 10))
            for letter in range(97, 107)
        ),
    ],
    ids=["template", "unfinished", "cycle", "steep", "steep-list", "alias", "bomb"],
)
def test_what_cannot_be_read_is_no_crash(content: bytes) -> None:
    assert parse("a.yaml", HEAD + content) == []
    problem = unreadable("a.yaml", HEAD + content)
    assert problem is not None
    assert problem.path == "a.yaml"
    assert problem.reason
    assert "\n" not in problem.reason


def test_broken_json_is_no_crash() -> None:
    assert parse("a.json", b'{"apiVersion": "v1", "kind": "ConfigMap", "metadata": ') == []
    assert unreadable("a.json", b'{"apiVersion": "v1", "kind": "ConfigMap", "metadata": ') is not None


def test_odd_metadata() -> None:
    found = one(b"apiVersion: v1\nkind: ConfigMap\nmetadata: [1]\nspec: text\n")
    assert (found.name, found.annotations, found.spec, found.wave) == ("*", {}, {}, 0)
    assert one(b"apiVersion: v1\nkind: Pod\nmetadata: {generateName: job-}\n").name == "job-*"


def annotated(**annotations: str) -> Object:
    names = {"wave": "sync-wave", "options": "sync-options", "hook": "hook", "policy": "hook-delete-policy"}
    metadata = {
        "name": "a",
        "annotations": {f"argocd.argoproj.io/{names[key]}": text for key, text in annotations.items()},
    }
    return Object({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata}, "a.yaml", "")


def test_annotations_of_argo_cd() -> None:
    item = annotated(wave="-3", options="Prune=false, Delete=confirm", hook="PostSync,PreSync", policy="HookSucceeded")
    assert item.wave == -3
    assert item.sync_options == {"Prune": "false", "Delete": "confirm"}
    assert item.is_hook
    assert item.phases == ("PreSync", "PostSync")
    assert item.hook_delete_policies == {"HookSucceeded"}


def test_annotations_that_mean_nothing() -> None:
    item = annotated(wave="soon", hook="Skip")
    assert item.wave == 0
    assert item.phases == ()
    assert annotated().phases == ("Sync",)
    assert annotated(hook="Sync").hook_delete_policies == {"BeforeHookCreation"}


def test_helm_hooks() -> None:
    metadata = {
        "name": "a",
        "annotations": {
            "helm.sh/hook": "pre-upgrade,post-install",
            "helm.sh/hook-weight": "5",
            "helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded",
        },
    }
    item = Object({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata}, "a.yaml", "")
    assert item.phases == ("PreSync", "PostSync")
    assert item.wave == 5
    assert item.hook_delete_policies == {"BeforeHookCreation", "HookSucceeded"}


def test_cluster_scoped_kinds_have_no_namespace() -> None:
    assert one(b"apiVersion: v1\nkind: Namespace\nmetadata: {name: a, namespace: b}\n").namespace == ""


def test_cache_reads_equal_content_once() -> None:
    cache = Cache()
    first, second = (parse(path, bytes(bytearray(HEAD)), cache) for path in ("a.yaml", "b.yaml"))
    assert first[0].manifest is second[0].manifest
    assert [first[0].path, second[0].path] == ["a.yaml", "b.yaml"]
