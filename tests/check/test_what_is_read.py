"""Only what Argo CD deploys is looked at, and what nobody can look at is named."""

from __future__ import annotations

from pathlib import Path

import yaml
from small_trees import Manifest, application, manifest

from constructs_lib.check.model import ClusterModel
from constructs_lib.check.notes import unseen
from constructs_lib.check.proofs import prove
from constructs_lib.repository.snapshot import Snapshot

MARKER = b"# +argocd:skip-file-rendering\n"


def written(content: Manifest) -> bytes:
    return yaml.safe_dump(content).encode()


CONFIG = written(manifest("ConfigMap", "settings", data={"A": "b"}))
WRONG = written(manifest("ConfigMap", "settings", data={"A": 1}))


def model(files: dict[str, bytes]) -> ClusterModel:
    return ClusterModel(Snapshot.of_files("test", files))


def codes(found: ClusterModel) -> set[str]:
    return {finding.check.code for finding in prove(found)}


def test_marked_files_are_left_out() -> None:
    files = {"app.yaml": written(application("web", "web")), "web/a.yaml": CONFIG, "web/b.yaml": WRONG}
    assert {"wrong-type", "object-owned-twice"} <= codes(model(files))
    found = model({**files, "web/b.yaml": MARKER + WRONG})
    assert not {"wrong-type", "object-owned-twice"} & codes(found)
    assert [text for text in found.warnings.values() if "web: 1 file left out" in text]


def test_patches_of_a_kustomization_are_no_objects() -> None:
    files = {"deploy.yaml": CONFIG, "smaller.yaml": WRONG}
    for key in ("resources: [deploy.yaml]\npatches: [{path: smaller.yaml}]", "resources: [deploy.yaml, smaller.yaml]"):
        found = model({**files, "kustomization.yaml": key.encode()})
        assert ("wrong-type" in codes(found)) is ("patches" not in key)
        assert [text for text in found.warnings.values() if text.startswith("1 kustomization (.): ")]


def test_names_with_other_prefixes_are_other_names() -> None:
    def tree(*prefixes: str) -> dict[str, bytes]:
        files = {"base/kustomization.yaml": b"resources: [a.yaml]\n", "base/a.yaml": CONFIG}
        for name, prefix in zip(("blue", "green"), prefixes, strict=True):
            files[f"{name}.yaml"] = written(application(name, f"overlays/{name}"))
            files[f"overlays/{name}/kustomization.yaml"] = f"resources: [../../base]\n{prefix}\n".encode()
        return files

    assert "object-owned-twice" not in codes(model(tree("namePrefix: a-", "namePrefix: b-")))
    assert "object-owned-twice" not in codes(model(tree("", "nameSuffix: -b")))
    assert "object-owned-twice" not in codes(model(tree("", "namespace: other")))
    assert "object-owned-twice" in codes(model(tree("", "")))
    assert "object-owned-twice" in codes(model(tree("namePrefix: a-", "namePrefix: a-")))


def test_what_is_not_looked_at_is_named() -> None:
    chart = {"web/Chart.yaml": b"name: web\n", "web/templates/a.yaml": b"kind: {{ .Values.kind }}\n"}
    assert [text for text in model(chart).warnings.values() if text.startswith("1 Helm chart (web): ")]
    app = {"app.yaml": written(application("web", "web")), "web/a.yaml": CONFIG}
    for file in ("x.jsonnet", "Chart.yaml", "kustomization.yaml", ".argocd-source.yaml", ".argocd-source-web.yaml"):
        (remark,) = model({**app, f"web/{file}": b"directory: {exclude: x}\n"}).warnings.values()
        assert remark.startswith("web: ")
    assert model({**app, "web/x.txt": b"", "web/below/x.jsonnet": b""}).warnings == {}


def test_a_link_out_of_the_repository_is_an_error(tmp_path: Path) -> None:
    for path, content in {"app.yaml": written(application("web", "web")), "web/a.yaml": CONFIG}.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(content)
    (tmp_path / "web/link.txt").symlink_to("../web/a.yaml")
    assert "application-refused" not in codes(ClusterModel(Snapshot.of_folder(tmp_path)))
    (tmp_path / "notes").symlink_to("/etc/hostname")
    assert "application-refused" in codes(ClusterModel(Snapshot.of_folder(tmp_path)))


def test_files_of_other_tools_need_no_name() -> None:
    tool, odd = b"apiVersion: install.istio.io/v1\nkind: IstioOperator\nspec: {}", b"apiVersion: v1\nkind: ConfigMap"
    assert "missing-field" not in codes(model({"a.yaml": tool}))
    assert "missing-field" in codes(model({"a.yaml": odd}))
    assert "missing-field" in codes(model({"app.yaml": written(application("web", "web")), "web/a.yaml": tool}))


def test_variants_in_files_of_one_folder_are_a_warning() -> None:
    for files in ({"a.yaml": CONFIG, "b.yaml": CONFIG}, {"a.yaml": CONFIG + b"---\n" + CONFIG}):
        (found,) = (each for each in prove(model(files)) if each.check.code == "object-owned-twice")
        assert found.check.severity == ("warning" if files.keys() > {"a.yaml"} else "error")


def test_what_no_application_deploys_is_named() -> None:
    files = {"app.yaml": written(application("web", "web")), "web/a.yaml": CONFIG, "other/a.yaml": CONFIG}
    assert [*unseen(model({**files, "values.yaml": b"kind: 1"}))] == [
        "1 file (other/a.yaml): no Application in the tree deploys what is in them."
    ]
    assert [*unseen(model({"a.yaml": CONFIG}))] == []
