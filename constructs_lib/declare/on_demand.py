"""Constructs of cdk8s that come to be in Node.js only once cdk8s is asked for something.

cdk8s is JavaScript: what is a construct in Python has a counterpart in Node.js, and each call of one goes there and
back. Most components hold nothing that cdk8s has to know of, and so need none of it.
"""

from typing import Any

import jsii

from constructs_lib.declare.nodejs import node_of_the_package, start_on_demand

start_on_demand()

with node_of_the_package():
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
