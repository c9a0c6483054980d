"""How an Application is asked to be compared anew.

https://argo-cd.readthedocs.io/en/stable/user-guide/annotations-and-labels/
"""

from datetime import datetime

from constructs_lib.kubernetes.manifest import Manifest

REFRESH = "argocd.argoproj.io/refresh"


def refresh(at: datetime) -> Manifest:
    """Return the merge patch by which Argo CD compares an Application with the newest commit, as a webhook has it do.

    Without a time of its own, a request that comes while another is under way is taken for that one, and lost
    (https://github.com/argoproj/argo-cd/issues/28392).

    Args:
        at: When it is asked for.
    """
    return {"metadata": {"annotations": {REFRESH: "normal", f"{REFRESH}-timestamp": at.isoformat()}}}
