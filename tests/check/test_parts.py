"""Trees without Applications: what Kustomize and Helm read is judged apart, and not where they change it."""

from __future__ import annotations

import pytest
from test_what_is_read import codes, model

SERVICE = b"""
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: %s}]}
"""
WEB = b"""
apiVersion: apps/v1
kind: Deployment
metadata: {name: %s}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: c, image: "example/web:1.0.0", ports: [{name: %s, containerPort: 8080}]}]
"""
HTTP, OTHER = WEB % (b"web", b"http"), WEB % (b"web", b"other")
KUSTOMIZATION = "kustomization.yaml"
ADDS = "[{op: add, path: /spec/template/spec/containers/-, value: {}}]"
MORE = b"""
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {template: {spec: {containers: [{name: p, ports: []}]}}}
"""


def built(name: str, said: str, files: dict[str, bytes]) -> dict[str, bytes]:
    """Return the files of a folder with a kustomization that says something."""
    return {f"{name}/{path}": text for path, text in {**files, KUSTOMIZATION: said.encode()}.items()}


def test_files_that_a_kustomization_does_not_name_are_left_out() -> None:
    files = built("web", "resources: [a.yaml]", {"a.yaml": SERVICE % b"http", "below/b.yaml": OTHER})
    found = model(files)
    assert "target-port-unknown" not in codes(found)
    assert [text for text in found.warnings.values() if text.startswith("1 file (web/below/b.yaml): ")]
    assert "target-port-unknown" in codes(
        model({**files, "web/kustomization.yaml": b"resources: [a.yaml, below/b.yaml]"})
    )
    # Nothing speaks against a folder without a kustomization of its own.
    assert "target-port-unknown" in codes(model({"a.yaml": SERVICE % b"http", "web/b.yaml": OTHER}))


def test_two_kustomizations_are_not_deployed_together() -> None:
    one = built("one", "resources: [a.yaml]", {"a.yaml": SERVICE % b"http"})
    two = built("two", "resources: [b.yaml]", {"b.yaml": OTHER})
    assert "target-port-unknown" not in codes(model({**one, **two}))
    together = {"all/kustomization.yaml": b"resources: [../one, ../two]"}
    assert "target-port-unknown" in codes(model({**one, **two, **together}))


@pytest.mark.parametrize(
    ("said", "is_told"),
    [
        ("", True),
        (f"patches: [{{patch: '{ADDS}', target: {{kind: Deployment}}}}]", False),
        ("patches: [{patch: '[{op: replace, path: /spec/replicas, value: 2}]', target: {kind: Deployment}}]", True),
        (f"patches: [{{patch: '{ADDS}', target: {{name: other}}}}]", True),
        ("patches: [{path: more.yaml}]", False),
        ("patchesStrategicMerge: [more.yaml]", False),
        ("components: [more]", False),
        ("transformers: [more.yaml]", False),
        ("replacements: [{source: {kind: ConfigMap}, targets: [{select: {kind: Deployment}, "
         "fieldPaths: ['spec.template.spec.containers.[name=c].ports.0.name']}]}]", False),
    ],
)  # fmt: skip
def test_ports_that_a_patch_may_bring(said: str, *, is_told: bool) -> None:
    files = {"a.yaml": SERVICE % b"http", "b.yaml": OTHER, "more.yaml": MORE, "more/more.yaml": MORE}
    files["more/kustomization.yaml"] = b"kind: Component\npatches: [{path: more.yaml}]"
    assert (
        "target-port-unknown" in codes(model(built("web", f"resources: [a.yaml, b.yaml]\n{said}", files)))
    ) is is_told


def test_an_overlay_fills_in_what_its_base_leaves_open() -> None:
    image = HTTP.replace(b"example/web:1.0.0", b"IMAGE")
    base = built("base", "resources: [a.yaml]", {"a.yaml": image})
    assert "bad-image" in codes(model(base))
    filled = {"over/kustomization.yaml": b"resources: [../base]\nimages: [{name: IMAGE, newName: example/web}]"}
    assert "bad-image" not in codes(model({**base, **filled}))
    # Another overlay leaves it open.
    assert "bad-image" in codes(model({**base, **filled, "raw/kustomization.yaml": b"resources: [../base]"}))


def test_what_is_in_git_is_told_though_an_overlay_changes_it() -> None:
    secret = b"apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: hunter2hunter2}"
    said = "resources: [a.yaml]\npatches: [{patch: '[{op: remove, path: /stringData}]', target: {kind: Secret}}]"
    assert "secret-in-git" in codes(model(built("web", said, {"a.yaml": secret})))


def test_a_secret_that_nobody_deploys_is_in_git_all_the_same() -> None:
    secret = b"apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: hunter2hunter2}"
    assert "secret-in-git" in codes(model(built("web", "resources: []", {"a.yaml": secret})))


def test_what_a_kustomization_fetches_is_not_missing() -> None:
    binding = (
        b"apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: b}\n"
        b"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}\n"
        b"subjects: [{kind: ServiceAccount, name: a, namespace: shop}]"
    )
    files = {"a.yaml": binding, "n.yaml": b"apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}"}
    said = "resources: [a.yaml, n.yaml, 'https://example.com/more.yaml']"
    assert "role-subject-missing" not in codes(model(built("web", said, files)))
    assert "role-subject-missing" in codes(model(files))


def test_what_a_kustomization_may_generate_is_not_missing() -> None:
    pod = (
        b"apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image: 'example/web:1.0.0', "
        b"envFrom: [{configMapRef: {name: settings}}]}]}"
    )
    files = built("web", "resources: [a.yaml]", {"a.yaml": pod})
    assert "config-map-missing" not in codes(model(files))
    plain = {"other/a.yaml": pod.replace(b"name: p}", b"name: q}")}
    assert "config-map-missing" in codes(model({**files, **plain}))
    generated = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}"
    assert "config-map-missing" not in codes(
        model({**plain, **built("s", "resources: [a.yaml]", {"a.yaml": generated})})
    )


def test_templates_of_a_chart_are_not_judged_beside_others() -> None:
    chart = {"chart/Chart.yaml": b"name: web", "chart/values.yaml": b"a: b"}
    plain = {**chart, "chart/templates/a.yaml": SERVICE % b"http"}
    assert not {"target-port-unknown", "service-without-pods"} & codes(model({**plain, "b.yaml": OTHER}))
    assert "target-port-unknown" in codes(model({**plain, "chart/templates/b.yaml": OTHER}))
    template = OTHER.replace(b"app: web", b"app: {{ .Values.a }}", 1)
    assert "target-port-unknown" not in codes(model({**plain, "chart/templates/b.yaml": template}))


def test_patches_of_an_application_count_as_well() -> None:
    app = (
        b"apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: web, namespace: argocd}\n"
        b"spec: {source: {repoURL: 'https://example.org/a.git', path: web}, destination: {namespace: web}}"
    )
    files = {"a.yaml": SERVICE % b"http", "b.yaml": OTHER}
    said = "resources: [a.yaml, b.yaml]"
    assert "target-port-unknown" in codes(model({"app.yaml": app, **built("web", said, files)}))
    said += f"\npatches: [{{patch: '{ADDS}', target: {{name: w.b}}}}]"
    assert "target-port-unknown" not in codes(model({"app.yaml": app, **built("web", said, files)}))
