"""The start of a repository: the files that a declaration needs around it, and their updates.

``files.yaml`` names all that is written, and ``files/`` holds it. It is the only source: what this library's own
repository has of it is what ``init --update`` gives there.
"""
