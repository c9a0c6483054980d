"""A program that runs on a schedule."""
