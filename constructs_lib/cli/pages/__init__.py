"""Pages of docs that are generated from the library itself: its commands, and what can be declared."""
