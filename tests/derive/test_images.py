"""Images whose tags may move, where the environment lets them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import cdk8s
import pytest
import yaml
from systems import environment

from constructs_lib import Microservice, Postgres, System, api, synthesize
from constructs_lib.check.notes import notes
from constructs_lib.declare.validation import ImageTags
from constructs_lib.synth import pipeline

MOVES = "constructs-lib/image-tags"


def shop(tags: ImageTags, image: str) -> System:
    system = System(dataclasses.replace(environment("staging", "external-secrets"), image_tags=tags), "shop")
    web = Microservice(system, "web", image=image, ports={"http": 8080}, wait_image="busybox:1.37.0")
    database = Postgres(web, "db", image="postgres:18.6", database="shop", user="shop", storage="1Gi")
    web.needs(database.endpoint("sql"))
    return system


def manifests(system: System) -> dict[str, Any]:
    files = synthesize(system).files
    return {path.rpartition("/")[2]: yaml.safe_load(text) for path, text in files.items() if path.endswith(".yaml")}


@pytest.mark.parametrize("tag", ["main", "build-123", "latest", "18"])
def test_any_tag_is_pulled_anew_and_noted(tag: str) -> None:
    system = shop("any", f"example/web:{tag}")
    found = manifests(system)
    web = found["Deployment-web.yaml"]
    assert web["metadata"]["annotations"][MOVES] == "any"
    spec = web["spec"]["template"]["spec"]
    policies = [container["imagePullPolicy"] for container in (*spec["initContainers"], *spec["containers"])]
    assert policies == ["IfNotPresent", "Always"]
    assert [name for name, made in found.items() if MOVES in str(made)] == ["Deployment-web.yaml"]
    assert api.check(system) == []
    told = [
        note
        for note in notes(api.model_of(pipeline.synthesize(system, keep_manifests=True)))
        if "tags may move" in note
    ]
    assert told == [
        "1 image whose tags may move, as image_tags says, so that a rollback may not bring back what ran before: "
        f"example/web:{tag} of web."
    ]


@pytest.mark.parametrize("tag", ["main-abc1234", "3f2b1c9d0e", "20260101", "1.2.3"])
def test_what_is_exact_stays_as_it_is(tag: str) -> None:
    assert manifests(shop("any", f"example/web:{tag}")) == manifests(shop("exact", f"example/web:{tag}"))


def test_tag_that_moves_is_found_where_nobody_asks_for_it(tmp_path: Path) -> None:
    def codes(tags: ImageTags) -> list[str]:
        system = shop(tags, "example/web:1.2.3")
        file = tmp_path / "job.yaml"
        pod = "{containers: [{name: a, image: 'example/a:main', resources: {limits: {cpu: 1, memory: 1Gi}}}]}"
        text = f"apiVersion: batch/v1\nkind: Job\nmetadata: {{name: a}}\nspec: {{template: {{spec: {pod}}}}}\n"
        file.write_text(text)
        cdk8s.Include(system.component("web"), "included", url=str(file))
        return [finding.check.code for finding in api.check(system) if finding.check.code == "image-not-pinned"]

    assert (codes("exact"), codes("any")) == (["image-not-pinned"], [])
