"""What is not done, and why."""


class UserError(Exception):
    """Something is not done; the message says why, and what would be right, to the person who asked for it."""
