"""When a database is dumped: as is declared, or when the saves of its environment begin."""

from __future__ import annotations

import pytest
from systems import empty

from constructs_lib import ExternalSecrets, Postgres, S3Bucket, synthesize

EIGHT_HOURS = S3Bucket(endpoint="https://s3.example.com", bucket="saves", region="fra1", at="02:05", every_hours=8)


@pytest.mark.parametrize(
    ("backups", "declared", "schedule"),
    [
        pytest.param(None, None, "17 3 * * *", id="nothing is said"),
        pytest.param(
            S3Bucket(endpoint="https://s3.example.com", bucket="saves", region="fra1"),
            None,
            "17 3 * * *",
            id="a bucket",
        ),
        pytest.param(EIGHT_HOURS, None, "5 2,10,18 * * *", id="a bucket that says when"),
        pytest.param(EIGHT_HOURS, "9 4 * * 1", "9 4 * * 1", id="its own"),
    ],
)
def test_dumps_begin_with_the_saves(backups: S3Bucket | None, declared: str | None, schedule: str) -> None:
    system = empty(backups=backups)
    ExternalSecrets(system, version="2.9.0")
    Postgres(system, "db", image="postgres:18.6", database="shop", user="shop", storage="1Gi", backup_schedule=declared)
    job = synthesize(system).manifest("dist/staging/db/CronJob-db-backup.yaml")
    assert job["spec"]["schedule"] == schedule
