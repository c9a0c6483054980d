"""Findings as text, JSON, SARIF and annotations, and the page of all checks."""
