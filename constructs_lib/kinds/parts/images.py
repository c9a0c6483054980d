"""Images that the library itself adds to pods. Dashboards and alerts are written for exactly these versions.

Renovate updates this file. The names of their metrics are in ``prometheus/metrics.yaml``: tests measure those of
Node.js and of the JVM, those of the others are to be compared with the release notes.
"""

#: OpenTelemetry's Java agent 2.32.0, from https://github.com/open-telemetry/opentelemetry-operator. The names of its
#: metrics were compared with what this version gave on Akka HTTP, Pekko HTTP, grpc-java and Cassandra.
OPENTELEMETRY_JAVA = (
    "otel/autoinstrumentation-java:2.32.0-1@sha256:9dad1c6e3e2ecee48fc164a19bcfde703510bee972c8cb421689fde89b5f89e9"
)
#: OpenTelemetry's auto-instrumentation for Node.js 0.78.0. Tags with a revision are never moved.
OPENTELEMETRY_NODEJS = "otel/autoinstrumentation-nodejs:0.78.0-1"
#: https://github.com/prometheus-community/postgres_exporter
POSTGRES_EXPORTER = "prometheuscommunity/postgres-exporter:v0.19.1@sha256:e96064f876226d94bb6ce48a4c4b3dd76edba91168ec1ab024e5c4b959310b0f"  # noqa: E501
#: https://github.com/oliver006/redis_exporter
REDIS_EXPORTER = "oliver006/redis_exporter:v1.69.0"
#: Saves to buckets and fetches from there: https://restic.net. The tests have the same version, by its go.mod.
RESTIC = "restic/restic:0.18.1@sha256:39d9072fb5651c80d75c7a811612eb60b4c06b32ffe87c2e9f3c7222e1797e76"
#: Waits for what a program needs: many programs come in images without a shell.
WAIT = "busybox:1.38.0@sha256:fd8d9aa63ba2f0982b5304e1ee8d3b90a210bc1ffb5314d980eb6962f1a9715d"
