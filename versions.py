"""Every image and chart that PositionPal runs, pinned. Renovate updates this file and nothing else does."""

GATEWAY = "positionpal/gateway:3.2.0@sha256:2332218ad642d4523958f8b0d1c5949ce1a82912c43f69d983c46267a3d22c69"
USER_SERVICE = "positionpal/user-service:2.9.0@sha256:44908ad332cf931114bbe15664d4c8b8752decc05e28c29123f32a5eae785f70"
NOTIFICATION_SERVICE = (
    "positionpal/notification-service:2.12.0@sha256:423d299a3cf0371e5ffb90063953cbc19ed1b6fb525163b555c9c4895f47bc55"
)
LOCATION_SERVICE = (
    "positionpal/location-service:5.9.0@sha256:b93daecbc491d32e06e9b53ad565c600357712d18a577ae7c25c571fd7757b51"
)
CHAT_SERVICE = "positionpal/chat-service:3.9.0@sha256:99411f6b600be272403619bc7749bb574f4037ff3a9f33ed0234830d7da6b839"

RABBITMQ = "rabbitmq:4-management@sha256:06fb591136a49e861e01aaaf9ce45085839ca23c35913d45a1e83519bb9778ca"
POSTGRES = "postgres:18.6@sha256:06cad38a5d9f5d24b4d83d86def30795d5e4b757fedbf5281172b576dedcd941"
CASSANDRA = "cassandra:latest@sha256:5e2c85d2d5db759c28c3efb50905f8d237f958321d6dfd8c176cb148700d9ade"

# renovate: chart=external-secrets repository=https://charts.external-secrets.io
EXTERNAL_SECRETS_CHART = "2.9.0"
# renovate: chart=kube-prometheus-stack repository=https://prometheus-community.github.io/helm-charts
KUBE_PROMETHEUS_STACK_CHART = "88.5.3"
# renovate: chart=metrics-server repository=https://kubernetes-sigs.github.io/metrics-server
METRICS_SERVER_CHART = "3.13.1"
# renovate: chart=traefik repository=https://traefik.github.io/charts
TRAEFIK_CHART = "41.3.0"
# renovate: chart=cert-manager repository=https://charts.jetstack.io
CERT_MANAGER_CHART = "v1.21.1"
# renovate: chart=reloader repository=https://stakater.github.io/stakater-charts
RELOADER_CHART = "2.2.16"

# renovate: chart=argo-cd repository=https://argoproj.github.io/argo-helm
ARGO_CD_CHART = "10.10.0"
K3S = "rancher/k3s:v1.36.4-k3s1@sha256:edad48e12bf81c3a09ac1c05c0c0ffaaa22145980b989d6fae84543a76b83657"
