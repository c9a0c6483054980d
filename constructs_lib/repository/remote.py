"""Addresses of Git repositories: whether two of them lead to the same one.

``bootstrap/local.py``, which runs without this library, has the same rule, and a test holds the two together.
"""


def repository_name(address: str) -> str:
    """Return host and path of a repository's address, the same for https and ssh; empty for a folder."""
    scheme, separator, rest = address.strip().partition("://")
    if separator:
        host, _, path = rest.partition("/")
    else:
        # As for Git: a colon before the first slash ends the name of a host.
        host, separator, path = scheme.partition(":")
    if not separator or "/" in host or scheme == "file":
        return ""
    host = host.rpartition("@")[2].lower()
    host = host.partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    # Hosts of ssh where port 22 is closed, and how Azure DevOps writes the same in its two forms.
    host = host.removeprefix("altssh.").removeprefix("ssh.")
    path = path.strip("/").removesuffix(".git").lower()
    return f"{host}/{path.removeprefix('v3/').replace('/_git/', '/') if host == 'dev.azure.com' else path}"


def is_same_repository(one: str, other: str) -> bool:
    """Tell whether two names of :func:`repository_name` are of the same repository.

    A host without a dot is a name from somebody's configuration of ssh. On some servers, only one of the two forms has
    a part such as ``scm/`` before the path.
    """
    (host, _, path), (other_host, _, other_path) = one.partition("/"), other.partition("/")
    is_known = all("." in each for each in (host, other_host))
    is_alike = path == other_path or any(
        "/" in short and long.endswith(f"/{short}") for short, long in ((path, other_path), (other_path, path))
    )
    return is_alike and (host == other_host or not is_known)
