"""Declarations with a mistake, and every word that is said about it."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

#: The file in which the declarations stand; their first line is line 21.
APP = '''"""A shop that somebody declares."""

from pathlib import Path

from constructs_lib import *

import cdk8s

IMAGE = "example/service:1.2.3"
CASSANDRA, POSTGRES, RABBITMQ = "cassandra:5.0.6", "postgres:18.6", "rabbitmq:4.2.1-management"
SCHEMAS = Path(__file__).parent / "schemas"

CLUSTER = {cluster}
REPOSITORY = {repository}
LOCAL = {environment}


def shop(environment):
    """Declare the shop."""
    system = System(environment, "shop")
{code}
{ending}

main(shop, [LOCAL])
'''


@dataclass(frozen=True)
class Bad:
    """A declaration with a mistake of one kind.

    Attributes:
        kind: What is wrong with it, as the name of the test.
        code: What stands in the function from line 21 on.
        messages: All lines that are said about it. ``{root}`` stands for the folder of the file.
        cluster: What stands in line 13.
        repository: What stands in line 14.
        environment: What stands in line 15.
        ending: The last line of the function.
        files: Further files beside it.
    """

    kind: str
    code: str
    messages: tuple[str, ...]
    cluster: str = 'K3d(kubernetes="1.36", nodes=1, provides=("external-secrets", "metrics-api"))'
    repository: str = 'GitRepository("https://github.com/example/shop.git")'
    environment: str = 'Environment(name="local", repository=REPOSITORY, cluster=CLUSTER)'
    ending: str = "return system"
    files: Mapping[str, bytes] = field(default_factory=dict)

    def write(self, root: Path) -> None:
        """Write ``app.py`` and what stands beside it."""
        code = textwrap.dedent(self.code).strip() or "pass"
        text = APP.format(
            code=textwrap.indent(code, "    "),
            ending=f"    {self.ending}",
            cluster=self.cluster,
            repository=self.repository,
            environment=self.environment,
        )
        for path, content in {"app.py": text.encode(), **self.files}.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)


def bad(kind: str, code: str, *messages: str, **rest: object) -> Bad:
    """Return a bad declaration; ``rest`` is what differs from the good one around it."""
    return Bad(kind, code, messages, **rest)  # type: ignore[arg-type]


def read_table() -> list[Bad]:
    """Return the declarations of ``bad_declarations.yaml``."""
    entries = yaml.load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    found = []
    for entry in entries:
        said = entry.pop("says")
        messages = [said] if isinstance(said, str) else said
        files = {
            path: content if isinstance(content, bytes) else content.encode()
            for path, content in entry.pop("files", {}).items()
        }
        found.append(bad(entry.pop("name"), entry.pop("code", ""), *messages, files=files, **entry))
    return found
