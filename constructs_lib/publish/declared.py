"""What the declaration of an earlier commit gives: it runs in a checkout of that commit, in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from constructs_lib.declare.environment import Environment
from constructs_lib.publish.checkout import PublishError
from constructs_lib.repository.git import Git, GitError
from constructs_lib.repository.pins import pins_file
from constructs_lib.synth.paths import is_owned, owned_paths
from constructs_lib.synth.tree import Tree


def declared_at(git: Git, revision: str, app: PurePosixPath, environments: Sequence[Environment]) -> dict[str, Tree]:
    """Return what the declaration of a commit gives for some environments, by their names, without pins.

    It is run by the Python of this process, and so with the libraries that are installed now, unless the commit has
    its own.

    Args:
        git: The repository.
        revision: The commit.
        app: The file that calls ``main()``, relative to the folder of the declaration.
        environments: The environments.

    Raises:
        PublishError: The declaration of that commit does not run now.
        GitError: There is no such commit.
    """
    names = [environment.name for environment in environments]
    with TemporaryDirectory() as folder:
        top = Path(folder, "checkout")
        root = top / git.folder
        # Hooks of the person's are about their own checkout.
        git.run("-c", "core.hooksPath=/dev/null", "worktree", "add", "--quiet", "--detach", str(top), revision)
        try:
            for name in names:
                (root / pins_file(name)).unlink(missing_ok=True)
            # What is imported from elsewhere comes from where it comes from now.
            others = [path for path in sys.path if path and Path(path).resolve() != git.root.resolve()]
            variables = {name: value for name, value in os.environ.items() if name != "CDK8S_OUTDIR"}
            variables |= {"PYTHONPATH": os.pathsep.join(others), "PYTHONDONTWRITEBYTECODE": "1"}
            result = subprocess.run(
                [sys.executable, str(root / app), "synth", "--adopt", *names],
                cwd=root,
                env=variables,
                capture_output=True,
                text=True,
                check=False,
            )
            if result.returncode:
                said = result.stderr.strip() or result.stdout.strip()
                raise PublishError(f"The declaration of {revision[:12]} does not run now:", said)
            found = [path for top in ("argocd", "bootstrap", "dist") for path in (root / top).rglob("*")]
            files = {path.relative_to(root).as_posix(): path.read_bytes() for path in found if path.is_file()}
        finally:
            try:
                git.run("worktree", "remove", "--force", str(top))
            except GitError:
                git.run("worktree", "prune")
    return {
        each.name: Tree.of_files(
            each.name,
            each.revision,
            {path: content for path, content in files.items() if is_owned(path, owned_paths([each.name]))},
            each.repository.path,
        )
        for each in environments
    }
