"""What a person writes: one construct a file."""
