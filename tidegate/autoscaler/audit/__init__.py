"""Decisions afterwards: explained, replayed, and compared with another policy."""
