"""What can be declared: one kind a folder."""
