"""The commands that search, and how they show events."""
