"""What follows from a declaration: one consequence a file."""
