"""Monitoring of the model: its inputs, its predictions, and their accuracy."""
