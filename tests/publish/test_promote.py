"""``promote`` against real Git repositories; that Argo CD is asked is in test_health.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hanging_cluster import child, kubectl_of, root
from json_schemas import valid
from shop import BASKET, Shop

STOCK = ("example/stock:1.0.0", "example/stock:1.1.0")
#: One replica on the laptop, and another number in the cloud.
REPLICAS = (
    '"basket", image="example/basket:1.0.0"',
    '"basket", replicas=environment.pick(laptop=1, cloud=2), image="example/basket:1.0.0"',
)
BILLING = 'billing = Microservice(system, "billing", image="example/billing:1.0.0", ports={"http": 80})\n    # more'
IN_CLOUD = f'if environment.name == "cloud":\n        {BILLING}'


def promote(shop: Shop, *arguments: str) -> str:
    """Promote what the laptop runs to the cloud, which must succeed; return what it printed."""
    run = shop.run("promote", "laptop", "cloud", "--skip-health", *arguments)
    assert run.code == 0, run.said
    return run.said


def images(shop: Shop) -> dict[str, str]:
    """Return the image of each component as it is deployed in the cloud: from the commit that it is pinned to."""
    found = {}
    for component, pin in shop.pins("cloud").items():
        text = shop.git("show", f"{pin['revision']}:dist/cloud/{component}/Deployment-{component}.yaml")
        [found[component]] = {each for each in text.split() if each.startswith(f"example/{component}:")}
    return found


@pytest.fixture(scope="module")
def first_promoted(first_published: Shop, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    shop = first_published.copied(tmp_path_factory.mktemp("promoted"))
    said = promote(shop)
    assert "cloud was never published: this pins its components, which then follow the branch no more." in said
    return shop


@pytest.fixture
def promoted(first_promoted: Shop, tmp_path: Path) -> Shop:
    """A shop of which the cloud runs what the laptop runs."""
    return first_promoted.copied(tmp_path)


def test_what_is_declared_is_promoted(promoted: Shop) -> None:
    promoted.check("cloud")
    promoted.change(*BASKET)
    promoted.publish()
    declared = promoted.git("rev-parse", "HEAD~2")
    told = promoted.run("promote", "laptop", "cloud", "--skip-health", "--dry-run", "--format", "json")
    would = valid("promote", told.out)
    assert (would["environment"], would["promoted_from"], would["moved"]) == ("cloud", "laptop", ["basket"])
    said = promote(promoted)
    promoted.check("cloud")
    assert images(promoted) == {
        "basket": "example/basket:1.1.0",
        "front": "example/front:1.0.0",
        "stock": "example/stock:1.0.0",
    }
    assert "Nobody was asked whether laptop is healthy with it." in said
    message = promoted.git("log", "-1", "--format=%B").splitlines()
    assert message[0] == "Publish cloud: basket"
    assert message[2].startswith("Promoted from laptop, which runs the declaration of ")
    assert promoted.git("diff", "--name-only", declared, "HEAD", "--", "app.py") == ""
    assert promote(promoted) == "Nothing to promote: cloud has everything that laptop runs.\n"


def test_what_is_declared_later_stays_behind(promoted: Shop) -> None:
    promoted.change(*BASKET)
    promoted.publish()
    promoted.edit(*STOCK)
    promoted.edit("# more", BILLING)
    promoted.commit("Declare more")
    promoted.git("push", "--quiet")
    said = promote(promoted)
    assert images(promoted) == {
        "basket": "example/basket:1.1.0",
        "front": "example/front:1.0.0",
        "stock": "example/stock:1.0.0",
    }
    assert "laptop runs the declaration of" in said and "Publish laptop: basket" in said
    assert promoted.pinned("cloud") == {name: pin["revision"] for name, pin in promoted.pins("cloud").items()}


def test_files_of_what_is_declared_later_stay_as_they_are(promoted: Shop) -> None:
    promoted.edit(*BASKET)
    promoted.run()
    promoted.commit("Update the basket")
    promoted.publish()
    promoted.edit(*STOCK)
    promoted.edit("example/basket:1.1.0", "example/basket:1.2.0")
    promoted.run()
    promoted.commit("Update more")
    promoted.git("push", "--quiet")
    before = promoted.git("rev-parse", "HEAD:dist")
    promote(promoted)
    assert images(promoted) == {
        "basket": "example/basket:1.1.0",
        "front": "example/front:1.0.0",
        "stock": "example/stock:1.0.0",
    }
    assert promoted.git("rev-parse", "HEAD:dist") == before
    # All is as the declaration gives it, with the new pins.
    assert promoted.run("synth", "--check").code == 0


def test_what_was_rolled_back_goes_back(promoted: Shop) -> None:
    promoted.change(*BASKET)
    promoted.publish()
    promote(promoted)
    promoted.git("revert", "--no-edit", "HEAD~2")
    promoted.git("push", "--quiet")
    run = promoted.run("promote", "laptop", "cloud", "--skip-health")
    assert run.code == 1 and "--allow Application/basket" in run.err
    assert "but basket as" in run.out
    promote(promoted, "--allow", "Application/basket")
    assert images(promoted)["basket"] == "example/basket:1.0.0"


def test_going_back_is_dangerous(promoted: Shop) -> None:
    promoted.change(*BASKET)
    promoted.publish(environment="cloud")
    before = promoted.pushed
    run = promoted.run("promote", "laptop", "cloud", "--skip-health")
    assert run.code == 1
    assert run.err.startswith("Nothing was published: the plan has 1 dangerous change.")
    assert "--allow Application/basket" in run.err
    assert "it goes back" in run.out
    assert promoted.pushed == before and promoted.status == ""
    promote(promoted, "--allow", "Application/basket")
    assert images(promoted)["basket"] == "example/basket:1.0.0"


def test_a_part_of_it(promoted: Shop) -> None:
    promoted.edit(*STOCK)
    promoted.change(*BASKET)
    promoted.publish()
    said = promote(promoted, "--only", "basket")
    assert "Held back: stock." in said
    assert images(promoted) == {
        "basket": "example/basket:1.1.0",
        "front": "example/front:1.0.0",
        "stock": "example/stock:1.0.0",
    }


def test_a_part_that_runs_is_what_is_promoted(promoted: Shop) -> None:
    """The other component is declared, and held back on the laptop."""
    promoted.edit(*STOCK)
    promoted.change(*BASKET)
    promoted.publish("--only", "basket")
    said = promote(promoted)
    assert images(promoted) == {
        "basket": "example/basket:1.1.0",
        "front": "example/front:1.0.0",
        "stock": "example/stock:1.0.0",
    }
    assert "but stock as" in said


def test_what_one_environment_has_alone(promoted: Shop) -> None:
    promoted.change("# more", IN_CLOUD)
    said = promote(promoted)
    assert "billing is in cloud alone: laptop shows nothing about it" in said
    assert images(promoted)["billing"] == "example/billing:1.0.0"
    promoted.check("cloud")
    promoted.change(IN_CLOUD, IN_CLOUD.replace("cloud", "laptop"))
    promoted.publish()
    run = promoted.run("promote", "laptop", "cloud", "--skip-health")
    assert run.code == 1 and "--allow Component/billing" in run.err
    promote(promoted, "--allow", "Component/billing")
    assert "billing" in promoted.pins() and "billing" not in promoted.pins("cloud")


def test_what_differs_between_the_environments(promoted: Shop) -> None:
    promoted.change(*REPLICAS)
    said = promote(promoted)
    assert "spec.replicas: 1 → 2" in said
    promoted.check("cloud")


def test_what_goes_and_comes(promoted: Shop) -> None:
    promoted.change("# more", BILLING)
    promoted.publish()
    promote(promoted)
    promoted.check("cloud")
    assert "billing" in promoted.pins("cloud")
    promoted.change(BILLING, "# more")
    promoted.publish("--allow", "Component/billing")
    assert promoted.run("promote", "laptop", "cloud", "--skip-health").code == 1
    promote(promoted, "--allow", "Component/billing")
    assert "billing" not in promoted.pins("cloud")


def test_a_dry_run_changes_nothing(promoted: Shop) -> None:
    promoted.change(*BASKET)
    promoted.publish()
    before = promoted.git("rev-parse", "HEAD")
    said = promote(promoted, "--dry-run")
    assert "Nothing was changed." in said and "basket" in said
    assert promoted.git("rev-parse", "HEAD") == promoted.pushed == before and promoted.status == ""
    assert promoted.git("worktree", "list").count("\n") == 0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("cloud", "laptop"), "cloud was never published, so that it follows main, and runs no declaration in "),
        (("laptop", "laptop"), "laptop and laptop are to be two environments that are deployed from the same branch "),
        (("laptop", "clout"), 'There is no environment "clout"; did you mean "cloud"?'),
    ],
)
def test_what_cannot_be_promoted(published: Shop, arguments: tuple[str, str], problem: str) -> None:
    before = published.pushed
    run = published.run("promote", *arguments, "--skip-health")
    assert run.code == (1 if "never" in problem else 2)
    assert run.err.startswith(problem)
    assert published.pushed == before and published.status == ""


def test_a_publication_that_is_not_pushed(promoted: Shop) -> None:
    promoted.change(*BASKET)
    promoted.publish()
    promoted.git("revert", "--no-edit", "HEAD")
    run = promoted.run("promote", "laptop", "cloud", "--skip-health")
    assert run.code == 1
    assert run.err.startswith("pins/laptop.json is another one here than in origin/main; push that first")


def cluster(shop: Shop, folder: Path, **statuses: str) -> dict[str, str]:
    """Return variables with which kubectl speaks of a laptop that has what is pinned, but for some components."""
    declared = yaml.safe_load((shop.folder / "argocd/laptop/root.yaml").read_text())
    pins = shop.pins()
    found = root(shop.pushed, *pins, settled=True)
    found["metadata"]["name"], found["spec"] = declared["metadata"]["name"], declared["spec"]
    items = [found, *(child(name, pin["revision"], settled=True) for name, pin in pins.items())]
    for item in items[1:]:
        name = item["metadata"]["name"]
        item["status"]["sync"]["revision"] = pins[name]["revision"]
        item["status"]["health"]["status"] = statuses.get(name, "Healthy")
    (folder / "applications.json").write_text(json.dumps({"items": items}))
    script = f"""echo "$@" >> {folder}/calls
case "$*" in
*applications.argoproj.io*) cat {folder}/applications.json ;;
*) echo '{{"items": []}}' ;;
esac"""
    return kubectl_of(folder, script)


def test_what_is_healthy_is_promoted(promoted: Shop, tmp_path: Path) -> None:
    promoted.change(*BASKET)
    promoted.publish()
    variables = cluster(promoted, tmp_path)
    run = promoted.run("promote", "laptop", "cloud", "--context", "laptop", **variables)
    assert run.code == 0 and "Argo CD says that laptop is healthy with it." in run.out
    assert images(promoted)["basket"] == "example/basket:1.1.0"
    calls = (tmp_path / "calls").read_text()
    assert calls.startswith("--context=laptop ") and " patch " not in calls


def test_what_is_not_healthy_is_not_promoted(promoted: Shop, tmp_path: Path) -> None:
    promoted.change(*BASKET)
    promoted.publish()
    before, pin = promoted.pushed, promoted.pins()["front"]["revision"]
    run = promoted.run("promote", "laptop", "cloud", **cluster(promoted, tmp_path, front="Degraded"))
    assert run.code == 1 and "rolling restart" in run.out
    assert run.err == (
        "Nothing was promoted: laptop is not healthy with what it runs.\n"
        f"front: Degraded and Synced, with {pin[:12]}.\n"
    )
    assert "--context" not in (tmp_path / "calls").read_text()
    assert promoted.pushed == before and promoted.status == ""


def test_without_an_answer_nothing_is_promoted(promoted: Shop, tmp_path: Path) -> None:
    promoted.change(*BASKET)
    promoted.publish()
    before = promoted.pushed
    run = promoted.run("promote", "laptop", "cloud", KUBECONFIG=f"{tmp_path}/none", PATH="/usr/bin:/bin")
    assert run.code == 1
    assert "it is not known whether laptop is healthy with what it runs" in run.err
    assert "--skip-health promotes all the same" in run.err
    assert promoted.pushed == before and promoted.status == ""
