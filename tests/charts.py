"""Charts to test with, and a real OCI registry to get them from."""

from __future__ import annotations

import io
import shutil
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.request import Request, urlopen

REGISTRY = shutil.which("docker-registry")


def archive(name: str, version: str, files: Mapping[str, str]) -> bytes:
    """Return a chart with these files, packed as ``helm package`` packs it; the same files give the same bytes."""
    files = {"Chart.yaml": f"apiVersion: v2\nname: {name}\nversion: {version}\n", **files}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for path, text in sorted(files.items()):
            entry = tarfile.TarInfo(f"{name}/{path}")
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """Run an OCI registry without TLS; the context has its address, without a scheme."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    folder.mkdir(exist_ok=True)
    settings = folder / "config.yml"
    settings.write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}/blobs}}}}\n"
        f"http: {{addr: {address}}}\n"
    )
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen([str(REGISTRY), "serve", str(settings)], stdout=log, stderr=log) as process,
    ):
        try:
            for _ in range(200):
                with suppress(OSError), closing(socket.create_connection(tuple_of(address), 1)):
                    break
                time.sleep(0.05)
            yield address
        finally:
            process.terminate()


def tuple_of(address: str) -> tuple[str, int]:
    """Return host and port of an address."""
    host, _, port = address.partition(":")
    return host, int(port)


def push(helm: Path | str, address: str, packed: bytes, name: str, version: str, folder: Path) -> str:
    """Push a chart to a registry with Helm, and return its digest."""
    file = folder / f"{name}-{version}.tgz"
    file.write_bytes(packed)
    command = [str(helm), "push", str(file), f"oci://{address}/charts", "--plain-http"]
    subprocess.run(command, check=True, capture_output=True)
    kind = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    with urlopen(Request(f"http://{address}/v2/charts/{name}/manifests/{version}", headers=kind)) as answer:
        return str(answer.headers["Docker-Content-Digest"])
