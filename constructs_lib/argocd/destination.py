"""Where Applications deploy to."""

#: The cluster in which Argo CD runs, as Applications name it.
HERE = {"server": "https://kubernetes.default.svc", "name": "in-cluster"}
