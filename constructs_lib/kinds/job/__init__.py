"""A program that runs once at each change."""
