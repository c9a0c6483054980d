"""Where the volume of a PostgreSQL server is mounted follows from the version of its image."""

from __future__ import annotations

import pytest
from synthesized import Synthesized
from systems import empty

from constructs_lib import Postgres, synthesize

OLD = "/var/lib/postgresql/data"
DIGEST = f"@sha256:{'a' * 64}"


@pytest.mark.parametrize(
    ("image", "folder", "data"),
    [
        ("postgres:17.5", OLD, f"{OLD}/pgdata"),
        ("postgres:16.9-alpine", OLD, f"{OLD}/pgdata"),
        ("postgres:18.6", "/var/lib/postgresql", None),
        (f"postgres:18{DIGEST}", "/var/lib/postgresql", None),
        (f"postgres{DIGEST}", "/var/lib/postgresql", None),
    ],
)
def test_volume_holds_the_data(image: str, folder: str, data: str | None) -> None:
    system = empty("local", "external-secrets")
    Postgres(system, "data", image=image, database="shop", user="shop", storage="1Gi")
    (template,) = Synthesized("local", synthesize(system).files).pods("data", ["StatefulSet"])
    server = template.container("postgres")
    assert {"name": "data", "mountPath": folder} in server["volumeMounts"]
    assert {each["name"]: each["value"] for each in server["env"]}.get("PGDATA") == data
