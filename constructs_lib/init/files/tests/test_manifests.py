"""The files of this repository are what app.py gives, and pass the proofs."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("command", ["synth --check", "check"])
def test_passes(command: str) -> None:
    result = subprocess.run(
        [sys.executable, "app.py", *command.split()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
