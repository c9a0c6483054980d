"""What a patch makes of an object."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest

from constructs_lib.kubernetes.patching import PatchError, comes_of, json_value, merged

TWO = [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]

#: What is there, the patch, and what comes out. The first are the examples of RFC 7396 that are about mappings.
CASES: dict[str, tuple[Any, Any, Any]] = {
    "a value is replaced": ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    "a key is added": ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    "a key goes": ({"a": "b"}, {"a": None}, {}),
    "one of two keys goes": ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    "a key that is not there goes": ({"a": "b"}, {"c": None}, {"a": "b"}),
    "a list is replaced": ({"a": ["b"]}, {"a": ["c", "d"]}, {"a": ["c", "d"]}),
    "mappings merge": ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    "a null is no value": ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    "a list of mappings without names is replaced": ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    "a number becomes a text": ({"port": 80}, {"port": "http"}, {"port": "http"}),
    "named entries merge": (
        {"env": TWO},
        {"env": [{"name": "b", "value": "3"}, {"name": "c", "value": "4"}]},
        {"env": [TWO[0], {"name": "b", "value": "3"}, {"name": "c", "value": "4"}]},
    ),
    "nothing but what is named is touched": ({"env": TWO}, {"env": []}, {"env": TWO}),
    "a named entry goes": ({"env": TWO}, {"env": [{"name": "a", "$patch": "delete"}]}, {"env": TWO[1:]}),
    "a named list is replaced": (
        {"env": TWO},
        {"env": [{"$patch": "replace"}, {"name": "c"}]},
        {"env": [{"name": "c"}]},
    ),
    "a mapping is replaced": ({"a": {"b": 1, "c": 2}}, {"a": {"$patch": "replace", "c": 3}}, {"a": {"c": 3}}),
    "a new entry has no nulls": (
        {"env": TWO[:1]},
        {"env": [{"name": "b", "value": None}]},
        {"env": [TWO[0], {"name": "b"}]},
    ),
    "lists merge inside of entries": (
        {"containers": [{"name": "web", "env": TWO[:1], "args": ["x"]}]},
        {"containers": [{"name": "web", "env": TWO[1:], "args": ["y"]}]},
        {"containers": [{"name": "web", "env": TWO, "args": ["y"]}]},
    ),
    "a volume is mounted twice": (
        {"volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}]},
        {"volumeMounts": [{"name": "tmp", "mountPath": "/cache"}]},
        {"volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, {"name": "tmp", "mountPath": "/cache"}]},
    ),
    "subjects are told apart by more than their names": (
        {"subjects": [{"kind": "User", "name": "a"}]},
        {"subjects": [{"kind": "Group", "name": "a"}]},
        {"subjects": [{"kind": "Group", "name": "a"}]},
    ),
    "two of a name are told apart by something else": (
        {"subs": [{"name": "a", "b": 1}, {"name": "a", "b": 2}]},
        {"subs": [{"name": "a"}]},
        {"subs": [{"name": "a"}]},
    ),
    "a list that is new": ({}, {"env": TWO}, {"env": TWO}),
    "an option takes the place of itself": (
        {"syncOptions": ["PruneLast=true", "ServerSideApply=true"]},
        {"syncOptions": ["PruneLast=false", "Validate=false"]},
        {"syncOptions": ["PruneLast=false", "ServerSideApply=true", "Validate=false"]},
    ),
    "differences are ignored as well": (
        {"ignoreDifferences": [{"kind": "Deployment", "name": "a", "jsonPointers": ["/spec/replicas"]}]},
        {"ignoreDifferences": [{"kind": "Deployment", "name": "a", "jsonPointers": ["/spec/paused"]}]},
        {
            "ignoreDifferences": [
                {"kind": "Deployment", "name": "a", "jsonPointers": [f"/spec/{field}"]}
                for field in ("replicas", "paused")
            ]
        },
    ),
    "a source is known by its repository": (
        {"sources": [{"repoURL": "a", "chart": "x"}, {"repoURL": "b", "path": "y"}]},
        {"sources": [{"repoURL": "a", "helm": {"skipCrds": True}}]},
        {"sources": [{"repoURL": "a", "chart": "x", "helm": {"skipCrds": True}}, {"repoURL": "b", "path": "y"}]},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_merging(name: str) -> None:
    old, change, expected = CASES[name]
    before, said = copy.deepcopy(old), copy.deepcopy(change)
    assert merged(old, change) == expected
    assert (old, change) == (before, said), "what is merged has changed"


MISFITS: dict[str, tuple[Any, Any, str]] = {
    "a mapping in the place of a list": ({"a": []}, {"a": {"b": 1}}, "a is a list, which a mapping cannot replace."),
    "a list in the place of a mapping": ({"a": {}}, {"a": [1]}, "a is a mapping, which a list cannot replace."),
    "a text in the place of a mapping": (
        {"a": {"b": {}}},
        {"a": {"b": "c"}},
        'a.b is a mapping, which "c" cannot replace.',
    ),
    "a mapping in the place of a number": ({"a": 5}, {"a": {"b": 1}}, "a is 5, which a mapping cannot replace."),
    "an entry without a name": (
        {"env": TWO},
        {"env": [{"value": "3"}]},
        'env[0] has no name, by which this list is merged; give it one, or begin the list with {"$patch": "replace"} '
        "to replace all of it.",
    ),
    "an entry that is not there goes": (
        {"env": TWO},
        {"env": [{"name": "c", "$patch": "delete"}]},
        "env has no c to delete; one of a, b.",
    ),
    "a directive that there is not": (
        {"env": TWO},
        {"env": [{"name": "a", "$patch": "merge"}]},
        'env[a]: "$patch": "merge" has no meaning here; a mapping knows "replace".',
    ),
    "a directive where entries have no names": (
        {"a": [{"b": 1}]},
        {"a": [{"b": 1, "$patch": "delete"}]},
        'a: its entries are not told apart by their name, so that "$patch" finds none.',
    ),
}


@pytest.mark.parametrize("name", MISFITS)
def test_patch_that_does_not_fit(name: str) -> None:
    old, change, message = MISFITS[name]
    with pytest.raises(PatchError) as told:
        merged(old, change)
    assert str(told.value) == message


def test_values_of_json() -> None:
    value = {"a": (1, 2.5, True, None, "x"), "b": {"c": []}}
    assert json_value(value) == {"a": [1, 2.5, True, None, "x"], "b": {"c": []}}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": {"b": [1, {2}]}}, "a.b[1] is a set, which is no value of JSON."),
        ({"a": math.nan}, "a is nan, which is no value of JSON."),
        ({"a": {5: 1}}, "a has the key 5, and keys are texts."),
        ({"a": object()}, "a is an object of type object, which is no value of JSON."),
        ({"a": "\ud800"}, "a has half a character (a surrogate), which no file can hold."),
    ],
)
def test_values_that_are_none_of_json(value: object, message: str) -> None:
    with pytest.raises(PatchError) as told:
        json_value(value)
    assert str(told.value) == message


POD = {
    "spec": {
        "hostNetwork": True,
        "containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "y", "args": ["1", "2"]}],
        "ports": [{"port": 1}, {"port": 2}],
    },
    "metadata": {"labels": {"a.b/c": "d", "a": "e"}},
}


@pytest.mark.parametrize(
    ("change", "field", "wanted"),
    [
        ({"spec": {"hostNetwork": True}}, "spec.hostNetwork", True),
        ({"spec": {"hostNetwork": True}}, "spec", False),
        ({"spec": {"hostNetwork": True}}, "", False),
        ({"spec": {"hostNetwork": True}}, "spec.hostNetworks", False),
        ({"spec": {"hostPID": None}}, "spec.hostPID", True),
        ({"spec": {"containers": [{"name": "b", "image": "y"}]}}, "spec.containers[1].image", True),
        ({"spec": {"containers": [{"name": "b", "image": "y"}]}}, "spec.containers[0].image", False),
        ({"spec": {"containers": [{"name": "b", "image": "y"}]}}, "spec.containers[1].args[0]", False),
        ({"spec": {"containers": [{"name": "b", "image": "y"}]}}, "spec.containers[1]", False),
        ({"spec": {"containers": [{"name": "a", "image": "x"}]}}, "spec.containers[0]", True),
        ({"spec": {"containers": [{"name": "a", "image": "x"}]}}, "spec.containers[0].resources.limits", True),
        ({"spec": {"containers": [{"name": "b", "image": "y"}]}}, "spec.containers[b].image", True),
        ({"spec": {"containers": [{"name": "b", "image": "y"}]}}, "spec.containers[b].resources.limits", False),
        ({"spec": {"containers": [{"name": "b", "image": "y"}]}}, "spec.containers[c].image", False),
        ({"spec": {"containers": [{"name": "b", "image": "y"}]}}, "spec.containers", False),
        ({"spec": {"containers": [{"name": "b", "args": ["1", "2"]}]}}, "spec.containers[1].args[1]", True),
        ({"spec": {"containers": [{"$patch": "replace"}, {"name": "a"}]}}, "spec.containers[0].image", True),
        ({"spec": {"$patch": "replace", "hostNetwork": True}}, "spec.dnsPolicy", True),
        ({"spec": {"ports": [{"port": 1}, {"port": 2}]}}, "spec.ports[1].port", True),
        ({"spec": {"ports": [{"port": 1}, {"port": 2}]}}, "spec.ports", True),
        ({"spec": {"ports": [{"port": 1}]}}, "spec.ports[7].port", False),
        ({"metadata": {"labels": {"a.b/c": "d"}}}, "metadata.labels.a.b/c", True),
        ({"metadata": {"labels": {"a": "e"}}}, "metadata.labels.a", True),
        ({"metadata": {"labels": {"a": "e"}}}, "metadata.labels.a.b/c", False),
        ({"metadata": {"labels": {"a": "e"}}}, "line 3", False),
    ],
)
def test_what_comes_of_a_patch(change: Any, field: str, wanted: bool) -> None:
    assert comes_of(change, POD, field) is wanted
