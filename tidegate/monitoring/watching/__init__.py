"""Watching a model in an application of the user's own: rows and predictions of any type."""
