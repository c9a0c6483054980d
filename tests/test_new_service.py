"""What the README promises to a new user: a further service in under 15 lines, and a system of another kind."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from constructs_lib import synthesize

ROOT = Path(__file__).resolve().parent.parent


def readme_sample(word: str) -> str:
    """Return the Python sample of the README that contains ``word``."""
    samples: list[str] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    [sample] = [sample for sample in samples if word in sample]
    return sample


@pytest.mark.parametrize("word", ["readiness=Http", "USER_SERVICE_URL"])
def test_first_look_is_the_declaration(word: str) -> None:
    assert readme_sample(word) in (ROOT / "app.py").read_text()


def test_sixth_service_takes_under_15_lines(tmp_path: Path) -> None:
    sample = readme_sample("billing-service")
    assert len(sample.splitlines()) < 15
    text = (ROOT / "app.py").read_text()
    if "billing-service" not in text:
        # Whoever follows the README has it there already.
        text = text.replace("    return system\n", f"{sample}    return system\n")
    namespace: dict[str, object] = {"__name__": "app", "__file__": str(ROOT / "app.py")}
    exec(compile(text, str(tmp_path / "app.py"), "exec"), namespace)
    for environment in (namespace["LOCAL"], namespace["PRODUCTION"]):
        tree = synthesize(namespace["positionpal"](environment))  # type: ignore[operator]
        name = tree.environment
        application = tree.files[f"argocd/{name}/Application-billing-service.yaml"].decode()
        assert 'argocd.argoproj.io/sync-wave: "2"' in application
        assert b"namespace: pp-bs" in tree.files[f"dist/{name}/billing-service/Deployment-billing-service.yaml"]
        assert b"pp-bs" in tree.files[f"dist/{name}/rabbitmq/NetworkPolicy-rabbitmq.yaml"]


SHOP = """
from constructs_lib import Environment, GitRepository, K3d, Microservice, System, main


def shop(environment: Environment) -> System:
    system = System(environment, "shop")
    stock = Microservice(system, "stock", image="example/stock:1.4.0", ports={"http": 8080})
    basket = Microservice(system, "basket", image="example/basket:2.0.1", ports={"http": 8080})
    front = Microservice(system, "front", image="example/front:0.9.3", ports={"http": 3000}, exposed="http")
    basket.needs(stock.endpoint("http"), {"STOCK_URL": "address"})
    front.needs(basket.endpoint("http"), {"BASKET_URL": "address"})
    return system


if __name__ == "__main__":
    repository = GitRepository("https://github.com/example/shop.git")
    main(shop, [Environment(name="laptop", repository=repository, cluster=K3d(kubernetes="1.35", nodes=1))])
"""


def test_small_system_in_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(textwrap.dedent(SHOP))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "app.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("laptop: 34 objects of 3 components in 3 waves\n")
    waves = {
        file.stem: re.search(r'sync-wave: "(\d)"', file.read_text())[1]  # type: ignore[index]
        for file in sorted((tmp_path / "argocd/laptop").glob("Application-*.yaml"))
    }
    assert waves == {"Application-basket": "1", "Application-front": "2", "Application-stock": "0"}
