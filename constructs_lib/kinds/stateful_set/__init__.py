"""A program whose pods have names and volumes of their own."""
