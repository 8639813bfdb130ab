"""Watching the model: what comes in, what it answers, and whether that was right."""
