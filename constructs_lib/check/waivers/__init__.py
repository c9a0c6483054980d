"""Findings that somebody has decided to live with for a while."""
