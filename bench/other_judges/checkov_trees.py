"""Judges folders with checkov, without skipping any of its checks; runs where checkov is installed.

Prints a JSON object: for every folder a list of pairs, the check and the file with the resource.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

from checkov.kubernetes.runner import Runner  # type: ignore[import-not-found]
from checkov.runner_filter import RunnerFilter  # type: ignore[import-not-found]


def judge(folder: Path) -> list[list[str]]:
    """Return what checkov says of one folder: its graph holds nothing of the others."""
    report = Runner().run(root_folder=str(folder), runner_filter=RunnerFilter(framework=["kubernetes"]))
    return [[record.check_id, f"{record.file_path} {record.resource}"] for record in report.failed_checks]


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    json.dump({folder: judge(Path(folder)) for folder in sys.argv[1:]}, sys.stdout)
