"""Commands: one a file, with little logic."""
