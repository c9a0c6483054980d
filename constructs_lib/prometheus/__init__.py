"""PromQL, and which metrics are exposed by what."""
