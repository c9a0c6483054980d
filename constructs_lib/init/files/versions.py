"""Every image and chart that runs, pinned. Renovate updates this file."""

# A program that shows what a small service needs: https://github.com/stefanprodan/podinfo
PODINFO = "ghcr.io/stefanprodan/podinfo:6.9.2"

# renovate: chart=argo-cd repository=https://argoproj.github.io/argo-helm
ARGO_CD_CHART = "10.10.0"
