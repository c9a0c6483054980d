"""Bad input: every mistake is told in one line with its place, and nothing is written."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from pathlib import Path

import pytest
from app_runs import Outcome, mistakes, run, run_alone, state
from bad_declarations import Bad, bad, read_table

from constructs_lib import DeclarationError, K3d
from constructs_lib.derive import graph

#: Files as an earlier run has left them.
COMMITTED = {
    "dist/earlier.yaml": "kind: Deployment\n",
    "argocd/earlier.yaml": "kind: Application\n",
}

#: What stands around the mistakes that are made outside of the function.
BEGINNING = """from constructs_lib import *

REPOSITORY = GitRepository("https://github.com/example/shop.git")
LOCAL = Environment(name="local", repository=REPOSITORY, cluster=K3d(kubernetes="1.36", nodes=1))
PRODUCTION = Environment(name="production", repository=REPOSITORY, cluster=K3d(kubernetes="1.36", nodes=3))


def shop(environment):
    return System(environment, "shop")


"""


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Path]:
    """Return the place of an app among generated files, which the test must leave alone."""
    for path, content in COMMITTED.items():
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(content)
    app = tmp_path / "app.py"
    app.touch()
    yield app


@pytest.mark.parametrize("declaration", [pytest.param(bad, id=bad.kind.replace(" ", "-")) for bad in read_table()])
def test_every_kind_of_mistake(app: Path, declaration: Bad) -> None:
    declaration.write(app.parent)
    before = state(app.parent)
    expected = [message.replace("{root}", str(app.parent)) for message in declaration.messages]
    assert run(app) == mistakes(*expected)
    assert state(app.parent) == before


# Where main() does not run yet, or is what is called wrongly.


@pytest.mark.parametrize(
    ("code", "message"),
    [
        pytest.param(
            'K3d(nods=3, kubernetes="1.36")',
            'app.py:12: declaration: K3d() has no argument "nods"; did you mean "nodes"?',
            id="unknown keyword",
        ),
        pytest.param(
            "Environment(name='local')",
            'app.py:12: declaration: Environment() lacks the arguments "cluster" and "repository".',
            id="missing keywords",
        ),
        pytest.param(
            'import constructs_lib as library\nlibrary.Resources("1", "1Gi", "2Gi", "4Gi")',
            "app.py:13: declaration: Resources() takes only cpu, memory and memory_limit without a name; write "
            "cpu_limit=… and so on.",
            id="too many arguments",
        ),
        pytest.param(
            'Microservice(None, "web", image="example/web:1.2.3", ports={"http": 8080})',
            "app.py:12: web: scope: a System, a Component or a Workload is needed, not None.",
            id="no system",
        ),
        pytest.param(
            "main()",
            'app.py:12: declaration: main() lacks the arguments "declaration" and "environments".',
            id="main without arguments",
        ),
    ],
)
def test_mistake_outside_of_the_function(app: Path, code: str, message: str) -> None:
    app.write_text(BEGINNING + code)
    before = state(app.parent)
    assert run(app) == mistakes(message)
    assert state(app.parent) == before


@pytest.mark.parametrize(
    "code",
    ["1 / 0", "def field(path): ...\nfield(paht='x')", "K3d.nodez", "open('missing.txt')"],
    ids=["arithmetic", "own function of the same name", "attribute", "file"],
)
def test_other_exceptions_outside_of_the_function_are_left_to_python(app: Path, code: str) -> None:
    app.write_text(BEGINNING + code)
    outcome = run(app)
    assert outcome.code == 1
    assert outcome.said[0] == "Traceback (most recent call last):"


MAIN_TAKES_A_FUNCTION = "app.py:12: main(): the first argument is the function that declares the system, not "
MAIN_TAKES_ENVIRONMENTS = (
    "app.py:12: main(): the second argument is a list of at least one environment, such as [LOCAL, PRODUCTION]."
)


@pytest.mark.parametrize(
    ("call", "messages"),
    [
        ("main(None, [LOCAL])", [f"{MAIN_TAKES_A_FUNCTION}None."]),
        ("main(shop(LOCAL), [LOCAL])", [f"{MAIN_TAKES_A_FUNCTION}an object of type System."]),
        ("main(shop, LOCAL)", [MAIN_TAKES_ENVIRONMENTS]),
        ("main(shop, [])", [MAIN_TAKES_ENVIRONMENTS]),
        ("main([LOCAL], shop)", [f"{MAIN_TAKES_A_FUNCTION}a list.", MAIN_TAKES_ENVIRONMENTS]),
        (
            "main(shop, [LOCAL, 'production'])",
            ['app.py:12: main(): the second argument holds environments only, not "production".'],
        ),
        (
            "main(lambda: None, [LOCAL])",
            ["app.py:12: <lambda>(): the function that declares the system takes one argument, the environment."],
        ),
        (
            'main(shop, [LOCAL, Environment(name="local", repository=REPOSITORY, cluster=LOCAL.cluster)])',
            [
                "app.py:12: environment local: the name is taken by the environment declared at app.py:4; choose "
                "another."
            ],
        ),
        (
            "main(shop, [Environment(name=name, repository=REPOSITORY, cluster=DigitalOcean(name='shop', "
            "region=region, kubernetes='1.36', nodes=1, pool='shop', size='s-2vcpu-4gb')) "
            "for name, region in (('a', 'fra1'), ('b', 'ams3'), ('c', 'fra1'))])",
            [
                "app.py:12: environment c: its cluster is that of a, declared at app.py:12, and Applications, "
                "AppProjects and namespaces of the two have the same names; give one of the two a prefix, such as "
                'prefix="c-", or each a cluster of its own.'
            ],
        ),
    ],
)
def test_wrong_call_of_main(app: Path, call: str, messages: list[str]) -> None:
    app.write_text(BEGINNING + call)
    assert run(app) == mistakes(*messages)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["synth", "prodction"], 'There is no environment "prodction"; did you mean "production"?'),
        (["synth", "--chek"], "No such option: --chek (Possible options: --check, --help, --watch)"),
        (["synht"], "No such command 'synht'. Did you mean 'synth'?"),
    ],
    ids=["environment", "option", "command"],
)
def test_mistake_on_the_command_line(app: Path, arguments: list[str], message: str) -> None:
    app.write_text(f"{BEGINNING}main(shop, [LOCAL, PRODUCTION])")
    before = state(app.parent)
    assert run(app, *arguments) == Outcome(2, [message])
    assert state(app.parent) == before


# Several at once.

THREE_SERVICES = """
web = Microservice(system, "web", image=IMAGE, ports={"http": 80800}, replicas=-1)
stock = Microservice(system, "stock", image="example/stock", ports={"grpc": 9090})
web.needs(stock.endpoint("gprc"))
prices = Postgres(stock, "prices", image=POSTGRES, database="prices", user="shop", storage="10 GB")
stock.needs(prices.endpoint("sql"), {"USER": "user"})
"""
MISTAKES_IN_THREE_SERVICES = [
    "app.py:21: web: port http: 80800 is no port; a whole number from 1 to 65535 is needed.",
    "app.py:21: web: replicas: -1 is no number of pods; at least 0, or Autoscale(2, 6).",
    'app.py:22: stock: the image "example/stock" has neither a digest nor a version; write '
    '"example/stock:1.2.3@sha256:…".',
    'app.py:23: stock: there is no endpoint "gprc"; did you mean "grpc"?',
    'app.py:24: stock/prices: storage: "10 GB" is no quantity: a unit has no B; write "10Gi".',
    'app.py:25: stock: USER: stock/prices sql has no "user"; did you mean "username"?',
]


def test_all_mistakes_are_told_at_once_in_the_order_of_their_lines(app: Path) -> None:
    bad("several", THREE_SERVICES).write(app.parent)
    assert run(app) == mistakes(*MISTAKES_IN_THREE_SERVICES)


def test_mistake_is_told_once_though_both_environments_have_it(app: Path) -> None:
    bad("several", THREE_SERVICES).write(app.parent)
    second = 'PRODUCTION = Environment(name="production", repository=REPOSITORY, cluster=CLUSTER)\n'
    app.write_text(app.read_text().replace("main(shop, [LOCAL])", f"{second}main(shop, [LOCAL, PRODUCTION])"))
    assert run(app) == mistakes(*MISTAKES_IN_THREE_SERVICES)


def test_mistakes_before_an_exception_are_told_too(app: Path) -> None:
    bad("several", f"{THREE_SERVICES}share = 1 / 0").write(app.parent)
    broken_off = "app.py:26: declaration: it broke off here with ZeroDivisionError: division by zero."
    assert run(app) == mistakes(*MISTAKES_IN_THREE_SERVICES, broken_off)


def test_wrong_arguments_do_not_hide_what_follows(app: Path) -> None:
    code = """
    web = Microservice(system, "web", image=None, prots={"http": 8080})
    stock = Microservice(system, "stock", image=IMAGE, ports=[8080], replicas="2")
    web.needs(stock.endpoint("http"), {"STOCK": "address"})
    stock.needs(web.endpoint("http"), {"WEB": "address"})
    """
    bad("several", code).write(app.parent)
    assert run(app) == mistakes(
        'app.py:21: web: Microservice() has no argument "prots"; did you mean "ports"?',
        "app.py:21: web: image: a text is needed, not None.",
        'app.py:22: stock: ports: a mapping such as {"…": 1} is needed, not a list.',
        'app.py:22: stock: replicas: a whole number or Autoscale(…) is needed, not "2"; write 2.',
    )


def test_all_missing_values_of_an_environment_are_told_at_once(app: Path) -> None:
    code = """
    replicas = environment.pick(production=3)
    storage = environment.pick(production="10Gi")
    Microservice(system, "web", image=IMAGE, ports={"http": 8080}, replicas=replicas, exposed="htpp")
    """
    bad("several", code).write(app.parent)
    assert run(app) == mistakes(
        "app.py:21: environment local: pick() has no value for this environment, only for production; add local=…",
        "app.py:22: environment local: pick() has no value for this environment, only for production; add local=…",
        'app.py:23: web: exposed: there is no port "htpp"; did you mean "http"?',
    )


def test_environment_that_breaks_off_does_not_hide_the_other(app: Path) -> None:
    code = """
    Microservice(system, "web", image=IMAGE, ports={"http": 8080}, replicas=environment.pick(local=-1, production=2))
    assert environment.name == "local"
    """
    bad("several", code).write(app.parent)
    second = 'PRODUCTION = Environment(name="production", repository=REPOSITORY, cluster=CLUSTER)\n'
    app.write_text(app.read_text().replace("main(shop, [LOCAL])", f"{second}main(shop, [PRODUCTION, LOCAL])"))
    assert run(app) == mistakes(
        "app.py:21: web: replicas: -1 is no number of pods; at least 0, or Autoscale(2, 6).",
        "app.py:22: declaration: it broke off here with AssertionError.",
    )


def test_two_cycles_are_told_at_once(app: Path) -> None:
    code = """
    a, b, c, d = (Microservice(system, id, image=IMAGE, ports={"http": 8080}) for id in "abcd")
    a.needs(b.endpoint("http"))
    b.needs(a.endpoint("http"))
    c.needs(d.endpoint("http"))
    d.after(c, a)
    """
    bad("several", code).write(app.parent)
    advice = "Take one of the edges away, or declare it with order=False."
    assert run(app) == mistakes(
        "app.py:23: b: these components wait for each other: a → b → a. a needs b http (app.py:22); b needs a http "
        f"(app.py:23). {advice}",
        "app.py:25: d: these components wait for each other: c → d → c. c needs d http (app.py:24); declared with "
        f"after() (app.py:25). {advice}",
    )


def test_mistake_in_another_file_is_told_where_it_stands(app: Path) -> None:
    helpers = app.parent / "declared_elsewhere" / "stock.py"
    helpers.parent.mkdir()
    helpers.write_text(
        "from constructs_lib import Microservice\n\n\ndef stock(system):\n"
        '    return Microservice(system, "stock", image="example/stock", ports={"http": 8080})\n'
    )
    code = f"""
    import sys
    sys.path.insert(0, {str(app.parent)!r})
    from declared_elsewhere.stock import stock
    stock(system)
    """
    bad("several", code).write(app.parent)
    assert run(app) == mistakes(
        'declared_elsewhere/stock.py:5: stock: the image "example/stock" has neither a digest nor a version; write '
        '"example/stock:1.2.3@sha256:…".'
    )


# In processes of their own, as people run them.


def test_process_with_a_mistake_in_the_function(app: Path) -> None:
    bad("several", THREE_SERVICES).write(app.parent)
    before = state(app.parent)
    assert run_alone(app) == mistakes(*MISTAKES_IN_THREE_SERVICES)
    assert state(app.parent) == before


def test_process_with_a_file_that_is_not_there(app: Path) -> None:
    code = 'cdk8s.Include(Component(system, "web"), "included", url="nosuch.yaml")'
    bad("included", code).write(app.parent)
    assert run_alone(app) == mistakes(
        'app.py:21: declaration: cdk8s cannot read "nosuch.yaml": there is no such file; a path begins at the working '
        "directory."
    )


#: What a script does outside of main(), and what is told of it.
SCRIPTS = {
    "wrong call": (
        "K3d(nods=3)",
        [
            'app.py:12: declaration: K3d() has no argument "nods"; did you mean "nodes"?',
            'app.py:12: declaration: K3d() lacks the argument "kubernetes".',
        ],
    ),
    "wrong call in another file": (
        "import cluster",
        ['cluster.py:2: declaration: K3d() has no argument "nods"; did you mean "nodes"?'],
    ),
    "no system": (
        "System(None, 'shop')",
        ["app.py:12: system: environment: Environment(…) is needed, not None."],
    ),
    "synthesis": (
        "synthesize(System(LOCAL, 'Bad Name'))",
        [
            'app.py:12: system: "Bad Name" is no DNS label: only a-z, 0-9 and "-", beginning and ending with a letter '
            'or digit; for instance "bad-name".'
        ],
    ),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_process_with_a_mistake_outside_of_the_function(app: Path, name: str) -> None:
    code, messages = SCRIPTS[name]
    app.write_text(f"{BEGINNING}{code}")
    (app.parent / "cluster.py").write_text('from constructs_lib import K3d\nK3d(nods=3, kubernetes="1.36")\n')
    before = state(app.parent)
    assert run_alone(app, PYTHONDONTWRITEBYTECODE="1") == mistakes(*messages)
    assert state(app.parent) == before


def test_process_may_catch_a_mistake(app: Path) -> None:
    app.write_text(f"{BEGINNING}try:\n    K3d(nods=3)\nexcept Exception as error:\n    print(len(error.diagnostics))\n")
    assert run_alone(app) == Outcome(0, [])


def test_code_that_is_installed_is_not_ended_by_a_mistake() -> None:
    """Such as the test runner, or a notebook."""
    with pytest.raises(DeclarationError) as told:
        K3d(nods=3)  # type: ignore[call-arg]
    assert not isinstance(told.value, SystemExit)


# Faults that are none of the user's.

#: What fails in the code that calls it.
BROKEN = operator.itemgetter("a wave")
GOOD = bad("good", 'Microservice(system, "web", image=IMAGE, ports={"http": 8080})')


def test_fault_of_the_library_is_told_apart(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    GOOD.write(app.parent)
    monkeypatch.setattr(graph, "longest_chains", BROKEN)
    before = state(app.parent)
    outcome = run(app)
    assert outcome.code == 70
    assert outcome.said[0] == "Traceback (most recent call last):"
    assert outcome.said[-2:] == [
        "KeyError: 'a wave'",
        "This is a fault of constructs_lib, not of your declaration; nothing was written.",
    ]
    assert state(app.parent) == before


def test_fault_after_a_mistake_does_not_hide_it(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad("with a mistake", 'Microservice(system, "web", image=IMAGE, ports={"http": 0})').write(app.parent)
    monkeypatch.setattr(graph, "longest_chains", BROKEN)
    assert run(app) == mistakes("app.py:21: web: port http: 0 is no port; a whole number from 1 to 65535 is needed.")


def test_exception_in_a_construct_of_ones_own_is_a_mistake(app: Path) -> None:
    code = """
    class Cache(Workload):
        def manifests(self):
            return [1 / 0]

    Cache(system, "cache")
    """
    bad("own construct", code).write(app.parent)
    assert run(app) == mistakes("app.py:23: declaration: it broke off here with ZeroDivisionError: division by zero.")


def test_good_declaration_is_written(app: Path) -> None:
    GOOD.write(app.parent)
    assert run(app, "synth", "--adopt") == Outcome(0, [])
    assert "sync-wave" in (app.parent / "argocd/local/Application-web.yaml").read_text()


def test_check_ends_with_1_where_something_would_be_written(app: Path) -> None:
    GOOD.write(app.parent)
    assert run(app, "synth", "--check").code == 1
    assert run(app, "synth", "--adopt").code == 0
    assert run(app, "synth", "--check").code == 0


def test_interrupt_leaves_no_traceback(app: Path) -> None:
    bad("interrupted", "raise KeyboardInterrupt").write(app.parent)
    outcome = run(app)
    assert outcome.code == 130
    assert not [line for line in outcome.said if "Traceback" in line]
