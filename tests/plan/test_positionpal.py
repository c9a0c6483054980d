"""Plans of PositionPal: what a person does to its declaration, and what that means."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from constructs_lib import synthesize
from constructs_lib.plan.change import Effect
from constructs_lib.plan.plan import Plan, plan
from constructs_lib.plan.report.words import summary
from constructs_lib.repository.snapshot import Snapshot

Planned = Callable[[Callable[[str], str]], Plan]


@pytest.fixture(scope="module")
def planned(root: Path) -> Planned:
    """Plan an edit of the declaration in production."""
    text = (root / "app.py").read_text()

    def synthesized(declaration: str) -> Snapshot:
        namespace: dict[str, object] = {"__name__": "app", "__file__": str(root / "app.py")}
        exec(compile(declaration, str(root / "app.py"), "exec"), namespace)
        system = namespace["positionpal"](namespace["PRODUCTION"])  # type: ignore[operator]
        return Snapshot.of_files("the declaration", synthesize(system).files)

    before = synthesized(text)

    def edited(edit: Callable[[str], str]) -> Plan:
        declaration = edit(text)
        return plan(before, synthesized(declaration), folder="argocd/production")

    return edited


def replaced(old: str, new: str) -> Callable[[str], str]:
    def edit(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    return edit


def test_nothing(planned: Planned) -> None:
    found = planned(lambda text: text)
    assert (found.changes, found.warnings, summary(found)) == ([], [], "No changes.")


def test_new_image_restarts_one_workload(planned: Planned) -> None:
    found = planned(replaced("image=versions.CHAT_SERVICE", 'image="positionpal/chat-service:3.10.0"'))
    assert [(change.full_name, change.effect, change.dangerous) for change in found.changes] == [
        ("Deployment/pp-cs/chat-service", Effect.RESTART, False),
    ]
    assert summary(found) == "Plan: 1 component in 1 wave: 1 rolling restart (2–4 pods); nothing is lost."


def test_larger_volumes_of_cassandra_are_dangerous(planned: Planned) -> None:
    nodes = "            nodes=Autoscale(2, pick(local=2, production=4)),\n            storage="
    found = planned(replaced(f"{nodes}volume,", f'{nodes}"20Gi",'))
    assert [(change.full_name, change.effect) for change in found.dangerous] == [
        ("StatefulSet/pp-cs/chat-service-database", Effect.DATA_LOSS),
        ("StatefulSet/pp-ls/location-service-database", Effect.DATA_LOSS),
    ]
    assert found.changes == found.dangerous
    (change, _) = found.changes
    assert "it takes a new StatefulSet" in str(change.reasons[0])
    assert "kubectl --namespace pp-cs delete statefulset chat-service-database --cascade=orphan" in change.fix


def test_new_service_loses_nothing(planned: Planned, root: Path) -> None:
    (sample,) = re.findall(r"```python\n(    billing = .*?)```", (root / "README.md").read_text(), flags=re.DOTALL)
    found = planned(replaced("    return system\n", f"{sample}    return system\n"))
    # Its user of the broker is made by another Job than those of before.
    (gone,) = (change.name for change in found.changes if change.effect is Effect.DELETE)
    assert gone.startswith("Job/rabbitmq-users-")
    effects = {change.effect for change in found.changes}
    assert effects == {Effect.CREATE, Effect.ADOPT, Effect.UPDATE, Effect.DELETE}
    said = r": \d+ created, \d+ created or adopted, \d+ updated in place, 1 deleted; 1 change is dangerous"
    assert re.search(said, summary(found))
    # Nobody looks into its chart here, which is told of one more namespace.
    assert [change.name for change in found.losing] == ["Application/reloader"]
    # What watches it takes it up: rules and dashboards.
    assert found.components == ["positionpal", "reloader", "monitoring", "rabbitmq", "billing-service"]
    # Of its rights, those that reach out of its own namespace.
    saves = [f"NetworkPolicy/billing-service-database-{name}" for name in ("backup", "restore")]
    assert {change.name for change in found.widening} == {"NetworkPolicy/prometheus", "NetworkPolicy/rabbitmq", *saves}


def test_removed_gateway(planned: Planned) -> None:
    def without(text: str) -> str:
        text = re.sub(r"    gateway\.needs.*\n", "", text)
        text = re.sub(r"    if not isinstance\(environment\.cluster, K3d\):\n(        .*\n)+", "", text)
        return re.sub(r"    gateway = Microservice\(.*?\n    \)\n", "", text, flags=re.DOTALL)

    found = planned(without)
    effects = {change.full_name: change.effect for change in found.changes if change.component == "gateway"}
    assert effects.pop("Application/argocd/gateway") == Effect.DELETE
    # Its project goes after it, so that it may delete everything.
    assert Effect.KEPT not in effects.values()
    assert effects["Deployment/pp-gws/gateway"] == Effect.DELETE
    assert effects["Namespace/pp-gws"] >= Effect.DELETE


def test_renamed_component(planned: Planned) -> None:
    found = planned(replaced('"user-service",', '"users",'))
    effects = {change.name: change.effect for change in found.changes}
    assert effects["Application/user-service"] == Effect.REPLACEMENT
    assert effects["StatefulSet/user-service-database"] == Effect.KEPT
    assert effects["StatefulSet/users-database"] == Effect.ADOPT
    (change,) = found.losing
    assert change.name == "Application/user-service"
    text = "\n".join(map(str, change.reasons))
    assert (
        "PersistentVolumeClaim/data-user-service-database-0 in pp-us, "
        "PersistentVolumeClaim/user-service-database-backups in pp-us"
    ) in text
    # It is kept, and nobody else calls it.
    assert "user-service-database.pp-us" not in text
    assert "Both have Namespace/pp-us, NetworkPolicy/default-deny, NetworkPolicy/dns" in text
    assert "user-service.pp-us becomes users.pp-us. gateway calls it by the old one." in text


def test_another_namespace_of_a_component(planned: Planned) -> None:
    found = planned(replaced('"pp-cs"', '"chat"'))
    (change,) = (each for each in found.losing if each.name != "Application/reloader")
    assert (change.name, change.effect) == ("Application/chat-service", Effect.UPDATE)
    text = "\n".join(map(str, change.reasons))
    assert "PersistentVolumeClaim/data-chat-service-database-0 to 3 in pp-cs" in text
    # Without pins, the project no longer permits the old namespace.
    assert "both run, until a person removes it" in text


def test_what_is_kept_leaves_its_application_synced(planned: Planned) -> None:
    found = planned(replaced('"pp-cs"', '"chat"'))
    kept = [str(change.reasons) for change in found.changes if "protected from pruning" in str(change.reasons)]
    assert len(kept) > 10
    assert not [reasons for reasons in kept if "OutOfSync" in reasons]
