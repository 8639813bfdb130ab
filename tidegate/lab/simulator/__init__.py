"""Simulates the service: a central queue, replicas that start and stop, and the metrics."""
