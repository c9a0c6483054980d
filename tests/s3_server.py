"""A real S3 server with TLS, and the scripts of the manifests that save to it and fetch from it, with a real restic."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from running import PATIENCE, found, free_port, listens, run, start_with_log, tools, variables, wait_for
from synthesized import Manifest

from constructs_lib.rehearse.tools import FOR_TESTS

#: Of the one user of the server; made up here, and good nowhere else.
KEY_ID, KEY, PASSWORD = "key-of-the-test", "it-is-good-nowhere-else", 'it\'s a "pass word" with \\ $HOME `id` ü'
REGION = "fra1"


def built(name: str) -> Path:
    """Return a program that is built for the tests; a test that needs one that is not is skipped."""
    [program] = (each for each in FOR_TESTS if each.name == name)
    if not program.built.exists():
        pytest.skip(f"{name} is not built: make .venv/measuring/ready builds it with Go")
    return program.built


class Server:
    """An S3 server on the loopback interface: versitygw on a folder, whose folders are the buckets."""

    def __init__(self, folder: Path) -> None:
        """Lay out its files: a certificate of its own, and no bucket."""
        self.port = free_port()
        self.buckets = folder / "buckets"
        self.buckets.mkdir()
        self.certificate = folder / "certificate.pem"
        self._key, self._log = folder / "key.pem", folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        command = ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
        files = ["-keyout", str(self._key), "-out", str(self.certificate)]
        subprocess.run([found(command[0]), *command[1:], *files], check=True, capture_output=True, timeout=PATIENCE)

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"https://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it takes requests."""
        options = [f"--port=127.0.0.1:{self.port}", f"--region={REGION}", "--quiet"]
        options += [f"--cert={self.certificate}", f"--key={self._key}", "posix", str(self.buckets)]
        environment = {"ROOT_ACCESS_KEY_ID": KEY_ID, "ROOT_SECRET_ACCESS_KEY": KEY, "PATH": os.environ["PATH"]}
        self._process = start_with_log([built("versitygw"), *options], environment, self._log)
        wait_for(self._ready, "the S3 server")

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        return listens(self.port)

    def stop(self) -> None:
        """End it at once."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(PATIENCE)
            self._process = None

    def contents(self) -> bytes:
        """Return all that the buckets hold: names, objects, and what is said of them."""
        held = []
        for path in sorted(self.buckets.rglob("*")):
            held += [str(path).encode(), *(os.getxattr(path, name) for name in os.listxattr(path))]
            held += [path.read_bytes()] if path.is_file() else []
        return b"\n".join(held)


@contextmanager
def s3_server() -> Iterator[Server]:
    """Run a server of one's own, without a bucket."""
    built("versitygw")
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    with tempfile.TemporaryDirectory(prefix="s3-") as name:
        server = Server(Path(name))
        try:
            server.start()
            yield server
        finally:
            server.stop()


class Saves:
    """What the pods of a store that call the bucket have here: restic, the key, the password, and folders.

    Attributes:
        server: The S3 server.
        files: The key and the password, as the Secret has them.
        path: Programs: restic and a ``sleep`` that takes no time, before those of this machine.
    """

    def __init__(self, server: Server, folder: Path, programs: Mapping[str, str | Path] | None = None) -> None:
        """Lay out the files; ``programs`` are further ones, by their names."""
        self.server = server
        self.folder = folder
        self.files = folder / "bucket"
        self.files.mkdir(parents=True)
        for name, text in {"access-key-id": KEY_ID, "secret-access-key": KEY, "password": PASSWORD}.items():
            (self.files / name).write_text(text)
        self.programs = tools(folder / "bin", {"restic": built("restic"), **(programs or {})})
        self.path = f"{self.programs}:{os.environ['PATH']}"

    def environment(self, container: Manifest, **others: str | Path) -> dict[str, str]:
        """Return the variables of a container that calls the bucket, with what lies elsewhere here."""
        declared = variables(container)["RESTIC_REPOSITORY"]
        address = urlsplit(declared.removeprefix("s3:"))
        here: dict[str, str | Path] = {
            "PATH": self.path,
            "RESTIC_REPOSITORY": f"s3:{self.server.endpoint}{address.path}",
            "RESTIC_CACHE_DIR": self.folder / "cache",
            "BUCKET_FILES": self.files,
        }
        # The image has the certificates that are known to everybody; this server's is its own.
        return {**variables(container, **{**here, **others}), "SSL_CERT_FILE": str(self.server.certificate)}

    def run(self, container: Manifest, **others: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a container that calls the bucket, as it stands in the manifest."""
        return run(container["command"], self.environment(container, **others))

    def snapshots(self, container: Manifest, **others: str | Path) -> list[Manifest]:
        """Return what restic knows of all saves, the oldest first; none without a repository."""
        return list(json.loads(self.restic(container, "snapshots", "--json", **others)))

    def restic(self, container: Manifest, *arguments: str | Path, **others: str | Path) -> str:
        """Ask the repository of a container, as a person would."""
        login = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": KEY, "RESTIC_PASSWORD": PASSWORD}
        result = run([self.programs / "restic", *arguments], {**self.environment(container, **others), **login})
        assert result.returncode == 0, result.stdout
        return result.stdout

    def wipe(self) -> None:
        """Let the pod's own files be gone, as they are with it."""
        shutil.rmtree(self.folder / "cache", ignore_errors=True)
