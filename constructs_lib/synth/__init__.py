"""From constructs to a tree of files, whole or not at all."""
