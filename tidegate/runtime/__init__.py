"""Functions that every long-running component of Tidegate needs."""
