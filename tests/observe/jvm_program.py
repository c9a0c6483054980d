"""Runs ``jvm/Program.java`` under the Java agent, as a container of the library runs it.

with jvm_program(variables, hosts=["stock.stock.svc.cluster.local"]) as program:
    program.get("/ok")
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from processes import ROOT, Program, here, running
from running import PATIENCE, free_ports

PACKAGES = ROOT / ".venv" / "jvm-program"
#: As in a pod, where the JVM sees less than two processors and 2 GB, and chooses this collector by itself.
_OPTIONS = ("-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


@dataclass(frozen=True)
class JvmProgram(Program):
    """The running program; nobody listens at its HTTP port if its variables have no HTTP_PORT."""

    def kill(self) -> None:
        """End it as a machine that fails does."""
        self.process.kill()
        self.process.wait(PATIENCE)


@contextmanager
def jvm_program(
    variables: Mapping[str, str], hosts: Iterable[str] = (), *, http2: bool = False
) -> Iterator[JvmProgram]:
    """Run the program with the environment variables of a container, and with no others but PATH and HTTP2.

    The ports in HTTP_PORT, GRPC_PORT and OTEL_EXPORTER_PROMETHEUS_PORT are others.

    Args:
        variables: The variables, as the library writes them into the container.
        hosts: Names that mean this machine.
        http2: Whether it serves gRPC as Akka gRPC does, which takes HTTP/2. Default: by grpc-java.
    """
    if not (PACKAGES / "ready").exists() or shutil.which("java") is None:
        pytest.skip(f"a program on the JVM is not built: make {PACKAGES.relative_to(ROOT)}/ready")
    port, grpc_port, metrics_port = free_ports(3)
    ports = {"HTTP_PORT": port, "GRPC_PORT": grpc_port, "OTEL_EXPORTER_PROMETHEUS_PORT": metrics_port}
    environment = here(variables, {"/telemetry": PACKAGES / "agent"})
    environment |= {name: str(number) for name, number in ports.items() if name in variables}
    environment["HTTP2"] = "on" if http2 else "off"
    with tempfile.TemporaryDirectory(prefix="jvm-") as name:
        folder = Path(name)
        (folder / "hosts").write_text("".join(f"127.0.0.1 {host}\n" for host in ("localhost", *hosts)))
        classpath = f"{PACKAGES / 'classes'}{os.pathsep}{PACKAGES / 'lib'}/*"
        command = ["java", *_OPTIONS, f"-Djdk.net.hosts.file={folder / 'hosts'}", "-cp", classpath, "Program"]
        with running(command, environment, folder / "log", grpc_port) as process:
            yield JvmProgram(port, grpc_port, metrics_port, process, folder / "log")
