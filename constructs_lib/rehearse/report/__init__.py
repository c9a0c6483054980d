"""A rehearsal as text, JSON, Markdown and a picture."""
