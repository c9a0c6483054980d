"""The programs of a rehearsal: where they are looked for, what is said of them, and building them with the real Go."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from constructs_lib.rehearse import tools
from constructs_lib.rehearse.tools import FOR_TESTS, PROGRAMS, Tools, find_tools, set_up
from constructs_lib.user_error import UserError

GO = shutil.which("go")
ANSWERS = {
    "etcd": "etcd Version: 3.6.1\\nGit SHA: 1a2b3c4\\nGo Version: go1.23.10",
    "kube-apiserver": "Kubernetes v1.36.0",
    "kube-controller-manager": "Kubernetes v1.36.0",
    "kube-scheduler": "Kubernetes v1.36.0",
    "kubectl": "Client Version: v1.36.0\\nKustomize Version: v5.8.1",
    "kwok": "kwok version v0.8.0 go1.26.8 (linux/amd64)",
    "argocd": "argocd: v3.6.0+5a0e4e4",
    "helm": "v3.22.4+g7b1d5a9",
    "redis-server": "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64",
    "git": "git version 2.39.5",
}


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Neither a cache nor a program on PATH."""
    if GO:  # its own cache would lie in ours
        cache = subprocess.run([GO, "env", "GOCACHE"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        monkeypatch.setenv("GOCACHE", cache)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return tmp_path


def make(folder: Path, **answers: str) -> Path:
    """Write programs that tell their version as the real ones do."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, answer in answers.items():
        program = folder / name
        program.write_text(f"#!/bin/sh\nprintf '%b' '{answer}'\n")
        program.chmod(0o755)
    return folder


def test_each_program_is_a_field() -> None:
    assert [program.name.replace("-", "_") for program in PROGRAMS] == list(Tools.__dataclass_fields__)


def test_all_are_found_in_a_folder_with_what_they_say(nothing: Path) -> None:
    found = find_tools(make(nothing / "bin", **ANSWERS))
    assert str(found).replace(str(nothing), "") == (
        "etcd 3.6.1 (--tools: /bin/etcd)\n"
        "kube-apiserver 1.36.0 (--tools: /bin/kube-apiserver)\n"
        "kube-controller-manager 1.36.0 (--tools: /bin/kube-controller-manager)\n"
        "kube-scheduler 1.36.0 (--tools: /bin/kube-scheduler)\n"
        "kubectl 1.36.0 (--tools: /bin/kubectl)\n"
        "kwok 0.8.0 (--tools: /bin/kwok)\n"
        "argocd 3.6.0 (--tools: /bin/argocd)\n"
        "helm 3.22.4 (--tools: /bin/helm)\n"
        "redis-server 7.0.15 (--tools: /bin/redis-server)\n"
        "git 2.39.5 (--tools: /bin/git)"
    )
    assert subprocess.run([found.git], stdout=subprocess.PIPE, text=True, check=True).stdout == "git version 2.39.5"


def test_the_folder_goes_before_what_is_built_and_that_before_path(nothing: Path) -> None:
    make(nothing / "path", **ANSWERS)
    assert {tool.found for tool in vars(find_tools()).values()} == {"PATH"}
    for program in PROGRAMS:
        if program.name in ("etcd", "helm"):
            make(program.built.parent, **{program.name: ANSWERS[program.name]})
    folder = make(nothing / "bin", helm="v3.22.1")
    found = find_tools(folder)
    assert (found.helm.found, found.helm.path, found.helm.version) == ("--tools", folder / "helm", "3.22.1")
    assert (found.etcd.found, found.kwok.found) == ("--setup", "PATH")


def test_all_that_is_missing_is_said_at_once(nothing: Path) -> None:
    with pytest.raises(UserError) as error:
        find_tools()
    first, *lines = str(error.value).splitlines()
    assert first == "A rehearsal cannot start:"
    assert [line.split()[0] for line in lines] == [program.name for program in PROGRAMS]
    assert lines[0] == f"  etcd is missing: {tools.BUILT}"
    assert lines[-2:] == [
        "  redis-server is missing: `apt install redis-server`, or `--setup` builds what stands in for it",
        "  git is missing: `apt install git`",
    ]


def test_another_minor_version_is_told_and_another_major_one_refused(nothing: Path) -> None:
    folder = make(nothing / "bin", **{**ANSWERS, "argocd": "argocd: v3.2.11"})
    assert "argocd 3.2.11, made for 3.6 (" in str(find_tools(folder))
    make(folder, helm="v4.1.0")
    with pytest.raises(UserError, match=r"/helm is 4\.1\.0, and only 3\.22 is known to work: `--setup` builds it"):
        find_tools(folder)


def test_the_three_of_kubernetes_are_of_one_minor_version(nothing: Path) -> None:
    folder = make(nothing / "bin", **{**ANSWERS, "kube-scheduler": "Kubernetes v1.35.2"})
    with pytest.raises(UserError, match=r"kube-scheduler 1\.35\.2.*: these must be of one minor version"):
        find_tools(folder)


def test_what_does_not_run_is_told_with_what_to_do(nothing: Path) -> None:
    folder = make(nothing / "bin", **{**ANSWERS, "kwok": "command line error"})
    (folder / "etcd").chmod(0o644)
    (folder / "helm").write_bytes(b"\x7fELF of another machine")
    with pytest.raises(UserError) as error:
        find_tools(folder)
    assert str(error.value).replace(str(folder), "").splitlines()[1:] == [
        "  /etcd may not be executed: `chmod +x /etcd`",
        f"  /kwok --version tells no version: {tools.BUILT}",
        f"  /helm does not run here (Exec format error): {tools.BUILT}",
    ]


def test_a_folder_that_is_not_there_is_said(nothing: Path) -> None:
    with pytest.raises(UserError, match="nowhere is no folder"):
        find_tools(nothing / "nowhere")


@pytest.mark.parametrize(
    ("answer", "said"), [(None, "there is none on PATH"), ("go version go1.20.14 linux/amd64", "older")]
)
def test_without_a_go_of_today_setup_says_so(nothing: Path, answer: str | None, said: str) -> None:
    if answer:
        make(nothing / "path", go=answer)
    with pytest.raises(UserError, match=f"Go 1.21 or later, and .*{said}"):
        set_up(print)


@pytest.mark.parametrize("folder", ["kubelet", "kubernetes"])
def test_the_parts_of_kubernetes_are_of_its_version(folder: str) -> None:
    """All is built from one release: what Renovate raises in part does not pass."""
    text = (tools.MODULES / folder / "go.mod").read_text()
    version = next(program.version for program in PROGRAMS if program.name == "kube-apiserver")
    parts = re.findall(r"^\t(k8s\.io/\S+) => \1 v(\S+)$", text, re.MULTILINE)
    assert len(parts) > 30
    assert {part for _, part in parts} == {version.replace("1.", "0.", 1)}


@pytest.mark.parametrize("folder", sorted({each.folder for each in (*PROGRAMS, *FOR_TESTS) if each.folder}))
def test_a_module_names_its_programs_and_its_checksums(folder: str) -> None:
    text = (tools.MODULES / folder / "go.mod").read_text()
    tool = re.search(r"^tool (?:\(\n(.*?)\n\)|(\S+))", text, re.MULTILINE | re.DOTALL)
    named = (tool[1] or tool[2]).split() if tool else ["."]
    programs = [program for program in (*PROGRAMS, *FOR_TESTS) if program.folder == folder]
    assert named == [program.package or program.pin for program in programs]
    assert f"{programs[0].pin} v{programs[0].version} h1:" in (tools.MODULES / folder / "go.sum").read_text()


@pytest.fixture
def with_go(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No cache, and the real PATH."""
    if GO is None:
        pytest.skip("Go is not installed")
    monkeypatch.setenv("PATH", f"{Path(GO).parent}:{os.defpath}")
    return nothing


@pytest.fixture
def redis(with_go: Path) -> Iterator[int]:
    """The port of what stands in for Redis, built and started."""
    set_up(print, only={"redis-server"})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    path = next(program.built for program in PROGRAMS if program.name == "redis-server")
    with subprocess.Popen(
        [path, "--save", "", "--port", f"{port}", "--bind", "127.0.0.1", "--daemonize", "no"]
    ) as server:
        yield port
        server.terminate()
    assert server.returncode == -signal.SIGTERM


@pytest.mark.slow
def test_setup_builds_once_and_what_it_builds_is_found(with_go: Path) -> None:
    name = "redis-server"
    lines: list[str] = []
    set_up(lines.append, only={name})
    version = next(program.version for program in PROGRAMS if program.name == name)
    assert lines[0].startswith("Building 1 program: about 1 min on ")
    assert lines[1] == f"{name} {version} …"
    assert re.fullmatch(rf"{name} {re.escape(version)}: \d+ s, \d MB", lines[-1])
    with pytest.raises(UserError) as error:
        find_tools()
    assert name not in str(error.value)
    found = find_tools(make(with_go / "bin", **{each: said for each, said in ANSWERS.items() if each != name}))
    assert (found.redis_server.found, found.redis_server.version) == ("--setup", version)
    lines.clear()
    set_up(lines.append, only={name})
    assert lines == [f"All is built already: {with_go}/cache/constructs-lib/rehearse"]


@pytest.mark.slow
def test_a_setup_that_is_killed_leaves_nothing_half(with_go: Path) -> None:
    code = "from constructs_lib.rehearse.tools import set_up; set_up(print, only={'redis-server'})"
    killed = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    root = with_go / "cache" / "constructs-lib" / "rehearse"
    until = time.monotonic() + 60
    while not list(root.glob("*.part")) and time.monotonic() < until:
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    assert list(root.glob("*.part"))
    assert not PROGRAMS[-2].built.exists()
    set_up(print, only={"redis-server"})
    assert [path.name for path in root.iterdir() if path.is_dir()] == [PROGRAMS[-2].built.parent.name]
    assert PROGRAMS[-2].built.exists()


def test_what_comes_from_the_cache_of_go_can_be_written_again(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (program,) = (each for each in PROGRAMS if each.definitions)
    folder = nothing / "module" / program.definitions
    folder.mkdir(parents=True)
    (folder / "kinds.yaml").write_text("kind: CustomResourceDefinition\n")
    (folder / "kinds.yaml").chmod(0o444)
    folder.chmod(0o555)
    go = make(nothing / "path", go="") / "go"
    to = 'while [ "$1" != -o ]; do shift; done; echo > "$2"'
    go.write_text(
        f'#!/bin/sh\ncase $1 in version) echo go1.26.0;; build) {to};; list) echo "{nothing / "module"}";; esac\n'
    )
    set_up(print, only={program.name})
    crds = program.built.parent / "crds"
    assert [path.stat().st_mode & 0o200 for path in (crds, crds / "kinds.yaml")] == [0o200, 0o200]
    program.built.unlink()
    set_up(print, only={program.name})
    assert program.built.exists()
    folder.chmod(0o755)


@pytest.mark.slow
def test_a_build_that_fails_says_why(with_go: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOS", "nowhere")
    with pytest.raises(UserError, match=r"(?s)redis-server \S+ was not built:.*nowhere"):
        set_up(print, only={"redis-server"})
    assert not list((with_go / "cache" / "constructs-lib" / "rehearse").glob("*/"))


@pytest.mark.slow
def test_what_stands_in_for_redis_keeps_and_forgets_and_passes_on(redis: int) -> None:
    """What Argo CD asks of Redis: values that expire, and messages to those who listen."""
    until = time.monotonic() + 10
    while True:
        try:
            listener = socket.create_connection(("127.0.0.1", redis), timeout=10)
            break
        except ConnectionRefusedError:
            assert time.monotonic() < until
            time.sleep(0.05)
    with listener, socket.create_connection(("127.0.0.1", redis), timeout=10) as client:

        def ask(command: str, connection: socket.socket = client) -> bytes:
            words = command.split()
            connection.sendall(
                "".join((f"*{len(words)}\r\n", *(f"${len(word)}\r\n{word}\r\n" for word in words))).encode()
            )
            return connection.recv(4096)

        assert ask("SET kept 1 EX 3600") == b"+OK\r\n"
        assert ask("SET brief 1 EX 1") == b"+OK\r\n"
        assert ask("GET brief") == b"$1\r\n1\r\n"
        assert b"subscribe" in ask("SUBSCRIBE news", listener)
        assert ask("PUBLISH news hello") == b":1\r\n"
        assert b"hello" in listener.recv(4096)
        while ask("GET brief") != b"$-1\r\n":
            assert time.monotonic() < until
            time.sleep(0.1)
        assert ask("GET kept") == b"$1\r\n1\r\n"
