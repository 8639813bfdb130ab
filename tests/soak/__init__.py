"""Faults of a real stack under load, and the account of what became of each request and each event."""
