"""A key of OpenPGP to sign with, in a folder of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def signing_key() -> Iterator[tuple[str, str, Callable[..., str]]]:
    """Make a key; yield the folder of its keyring, its fingerprint, and a function that runs gpg there."""
    if shutil.which("gpg") is None:
        pytest.skip("gpg is not installed")
    # gpg's sockets have short paths only.
    with tempfile.TemporaryDirectory(prefix="gpg") as home:

        def gpg(*arguments: str) -> str:
            options = ("--homedir", home, "--batch", "--quiet", "--pinentry-mode=loopback", "--passphrase=")
            return subprocess.run(["gpg", *options, *arguments], check=True, capture_output=True, text=True).stdout

        gpg("--quick-generate-key", "publish <publish@localhost>", "ed25519", "sign", "never")
        (fingerprint,) = re.findall(r"^fpr:+(\w+):$", gpg("--list-keys", "--with-colons"), re.MULTILINE)
        yield home, fingerprint, gpg
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=True)
