"""A real gRPC client, of grpc-java, at a name that leads to three servers, as that of a headless Service does."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from jvm_program import PACKAGES
from processes import ROOT
from running import free_ports

PROGRAM = Path(__file__).parent / "grpc" / "Balanced.java"
NAME = "stock-pods.stock.svc.cluster.local"
PODS = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]


def answering(folder: Path, target: str, policy: str) -> list[str]:
    """Return the servers of which a client at a target gets answers."""
    if not (PACKAGES / "ready").exists() or shutil.which("java") is None:
        pytest.skip(f"a program on the JVM is not built: make {PACKAGES.relative_to(ROOT)}/ready")
    # The JVM takes this file for the cluster's DNS: a name with several addresses.
    hosts = folder / "hosts"
    hosts.write_text("".join(f"{address} {NAME}\n" for address in PODS) + "127.0.0.1 localhost\n")
    (port,) = free_ports(1)
    options = ["-Xmx96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Djdk.net.hosts.file={hosts}"]
    command = ["java", *options, "-cp", f"{PACKAGES / 'lib'}/*", os.fspath(PROGRAM)]
    told = [target.replace("PORT", str(port)), str(port), policy, *PODS]
    run = subprocess.run([*command, *told], capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


def test_a_client_that_balances_reaches_all_pods(tmp_path: Path) -> None:
    """By its policy; the address alone, without a scheme, is a name that it resolves by DNS as well."""
    assert answering(tmp_path, f"dns:///{NAME}:PORT", "round_robin") == PODS
    assert answering(tmp_path, f"{NAME}:PORT", "round_robin") == PODS


def test_a_client_that_is_not_told_to_stays_with_one(tmp_path: Path) -> None:
    assert len(answering(tmp_path, f"dns:///{NAME}:PORT", "")) == 1
