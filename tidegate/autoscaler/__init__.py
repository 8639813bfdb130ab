"""Reads signals from Prometheus, decides the number of replicas, and calls the resizer."""
