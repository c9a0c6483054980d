"""How large files and trees of people who are not trusted may be."""

from constructs_lib.user_error import UserError

#: The most bytes of a file that are read.
MOST_BYTES = 10_000_000
#: Stands for the content of a file with more. It looks like manifests, so that nobody passes it over.
OVERSIZED = b"apiVersion: kind: metadata: larger than what is read"
#: The most files that may be manifests in a tree, and their most bytes, those of larger files not counted.
MOST_FILES, MOST_IN_ALL = 100_000, 200_000_000


def demand_tree(files: int, size: int = 0) -> None:
    """Refuse a tree of very many files, or bytes.

    Raises:
        UserError: There are too many.
    """
    if files > MOST_FILES or size > MOST_IN_ALL:
        most = f"{MOST_FILES} files" if files > MOST_FILES else f"{MOST_IN_ALL // 1_000_000} MB"
        raise UserError(f"There are more than {most} of YAML and JSON in the tree; name a folder that holds less.")


def demand_size(content: bytes) -> None:
    """Refuse a file that is too large.

    Raises:
        ValueError: It is.
    """
    if len(content) > MOST_BYTES or content == OVERSIZED:
        raise ValueError(f"it is larger than {MOST_BYTES // 1_000_000} MB, and Argo CD reads no more of an Application")
