"""What only the declaration calls otherwise stays what it is, in the cluster and in the tree."""

from __future__ import annotations

from pathlib import Path

import pytest
from app_runs import Outcome, mistakes, run, state

APP = """from constructs_lib import *

CLUSTER = K3d(kubernetes="1.36", nodes=1, provides=("external-secrets",))
LOCAL = Environment(name="local", repository=GitRepository("https://github.com/example/shop.git"), cluster=CLUSTER)


def shop(environment):
    system = System(environment, "shop", formerly={formerly})
    user = Microservice(system, "{service}", image="example/user:1.0.0", ports={{"http": 8080}})
    store = Postgres(user, "{store}", image="postgres:18.6", database="users", user="users", storage="5Gi")
    user.needs(store.endpoint("sql"), {{"DB_HOST": "host", "DB_PASSWORD": "password"}})
    web = Microservice(system, "web", image="example/web:1.0.0", ports={{"http": {port}}})
    web.needs(user.endpoint("http"), {{"USERS": "address"}})
    return system


main(shop, [LOCAL])
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    file = tmp_path / "app.py"
    declare(file)
    assert run(file).code == 0
    return file


def declare(
    app: Path, service: str = "user-service", store: str = "database", formerly: object = None, port: int = 80
) -> None:
    app.write_text(APP.format(service=service, store=store, formerly=formerly, port=port))


def test_nothing_moves(app: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = state(app.parent)
    declare(app, "accounts", "users", {"accounts": "user-service", "accounts/users": "database"})
    assert run(app) == Outcome(0, [])
    changed = {path for path, found in state(app.parent).items() if found != before.get(path)}
    assert changed <= {"app.py", ".synth/lock", ".synth", "."}
    assert run(app, "plan", "--from", str(app.parent), "--strict") == Outcome(0, [])
    assert run(app, "why", "accounts") == Outcome(0, [])
    assert run(app, "why", "StatefulSet/user-service-database") == Outcome(0, [])


def test_pictures_and_messages_call_it_as_the_declaration_does(app: Path) -> None:
    names = {"accounts": "user-service", "accounts/users": "database"}
    declare(app, "accounts", "users", names)
    assert run(app, "graph", "--output", str(app.parent / "shop.mmd")).code == 0
    assert "accounts · namespace user-service" in (app.parent / "shop.mmd").read_text()
    app.write_text(app.read_text().replace('"sql"', '"sq"').replace('storage="5Gi"', 'storage="5Foo"'))
    said = run(app).said
    assert any("accounts/users" in line for line in said)
    assert not any("user-service" in line for line in said)


def test_without_it_the_plan_tells_of_it(app: Path, tmp_path: Path) -> None:
    """As long as nothing is published, the change is found again by what the pods run."""
    declare(app, "accounts")
    assert run(app, "plan", "--from", str(tmp_path), "--strict").code == 1


@pytest.mark.parametrize(
    ("formerly", "problem"),
    [
        ({"user-servic": "users"}, 'there is no component "user-servic"; did you mean "user-service"?'),
        ({"user-service/databas": "db"}, 'there is no workload "user-service/databas"; did you mean'),
        ({"web": "web"}, '"web": that is what it is called; leave it out.'),
        ({"web": "Web"}, '"web": "Web" '),
    ],
    ids=["a component that is none", "a workload that is none", "the same name", "no name"],
)
def test_former_names_of_nothing_are_mistakes(app: Path, formerly: dict[str, str], problem: str) -> None:
    declare(app, formerly=formerly)
    [said, count] = run(app).said
    assert said.startswith(f"app.py:8: system: formerly: {problem}")
    assert count == "1 mistake in the declaration; nothing was written."


def test_a_name_is_given_once(app: Path) -> None:
    declare(app, formerly={"web": "user-service"})
    [first, *_] = run(app).said
    assert "user-service: the id is taken by the component declared at app.py:9" in first


def test_other_values_are_mistakes(app: Path) -> None:
    declare(app, formerly="user-service")
    app.write_text(app.read_text().replace("formerly=user-service", 'formerly="user-service"'))
    assert run(app).code == 1
    assert run(app) != mistakes()
