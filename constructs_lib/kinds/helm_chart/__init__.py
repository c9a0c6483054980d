"""The kind helm_chart."""
