"""An agent on every node."""
