"""Pictures of a declared system: what it consists of, and in which order it is deployed."""
