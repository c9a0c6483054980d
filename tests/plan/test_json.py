"""A plan for programs."""

from __future__ import annotations

import json

from json_schemas import valid
from samples import nothing, sample

from constructs_lib.plan.report.json_report import VERSION, document, dump


def test_plan() -> None:
    found = json.loads(dump(document(sample())))
    assert found == document(sample())
    plans = [{"environment": "here", "phase": "", **found}]
    valid("plan", dump({"version": VERSION, "plans": plans}))
    assert {key: value for key, value in found.items() if key not in ("steps", "warnings")} == {
        "version": 1,
        "old": "old",
        "new": "new",
        "summary": {"create": 2, "update in place": 2, "rolling restart": 1, "data loss": 1},
        "dangerous": ["PersistentVolumeClaim/ns/files"],
        "losing": ["PersistentVolumeClaim/ns/files"],
        "widening": [],
        "allow": ["PersistentVolumeClaim/files"],
        "notes": [],
        "pins": [{"name": "web", "path": "parts/web", "old": "v1", "new": "HEAD"}],
    }
    assert [(step["component"], step["wave"], step["parent"], len(step["changes"])) for step in found["steps"]] == [
        ("root", 0, "root", 1),
        ("web", 0, "root", 4),
        ("store", 1, "root", 1),
    ]
    assert found["steps"][1]["changes"][::3] == [
        {
            "action": "change",
            "effect": "update in place",
            "group": "",
            "kind": "Secret",
            "namespace": "ns",
            "name": "token",
            "file": "parts/web/2.yaml",
            "dangerous": False,
            "widens": [],
            "replaced": False,
            "fields": [{"path": "data.token", "old": None, "new": None, "secret": True}],
            "reasons": [],
            "pods": [],
            "mend": "",
        },
        {
            "action": "change",
            "effect": "rolling restart",
            "group": "apps",
            "kind": "Deployment",
            "namespace": "ns",
            "name": "web",
            "file": "parts/web/0.yaml",
            "dangerous": False,
            "widens": [],
            "replaced": False,
            "fields": [
                {"path": "spec.template.spec.containers[web].image", "old": "web:1", "new": "web:2", "secret": False}
            ],
            "reasons": [],
            "pods": [{"workload": "Deployment/web", "least": 2, "most": 2, "per_node": False}],
            "mend": "",
        },
    ]


def test_keys_are_sorted() -> None:
    text = dump(document(sample()))
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def test_names_of_files_need_not_be_utf_8() -> None:
    assert dump({"a": "\udcff"}) == '{\n  "a": "\\udcff"\n}\n'
    assert json.loads(dump({"a": "\udcff"})) == {"a": "\udcff"}


def test_nothing() -> None:
    found = json.loads(dump(document(nothing())))
    assert found == {
        "version": VERSION,
        "old": "tree",
        "new": "tree",
        "summary": {},
        "dangerous": [],
        "losing": [],
        "widening": [],
        "allow": [],
        "notes": [],
        "warnings": [],
        "pins": [],
        "steps": [],
    }
