"""The committed files are what the declaration gives."""

from __future__ import annotations

from pathlib import Path

from synthesized import Synthesized

from constructs_lib.synth.paths import owned_paths

HOW_TO_MEND = "run `make synth` and commit what it writes"


def test_committed_files_are_up_to_date(root: Path, trees: dict[str, Synthesized]) -> None:
    """No file that the generator owns differs, is missing or is left over."""
    wanted = {path: content for tree in trees.values() for path, content in tree.files.items()}
    committed = {
        file.relative_to(root).as_posix(): file.read_bytes()
        for owned in owned_paths()
        for file in root.glob(f"{owned}**/*" if owned.endswith("/") else owned)
        if file.is_file() or file.is_symlink()
    }
    differing = {
        "not up to date": sorted(path for path in wanted.keys() & committed.keys() if wanted[path] != committed[path]),
        "missing": sorted(wanted.keys() - committed.keys()),
        "left over": sorted(committed.keys() - wanted.keys()),
    }
    problems = [f"{path}: {problem}" for problem, paths in differing.items() for path in paths]
    assert not problems, "\n".join([*problems, HOW_TO_MEND])


def test_every_environment_is_committed(root: Path, trees: dict[str, Synthesized]) -> None:
    """The tests look at all environments that the declaration has."""
    for folder in ("dist", "argocd"):
        assert {entry.name for entry in (root / folder).iterdir() if entry.is_dir()} == set(trees)
