"""Dashboards: their model and their JSON."""
