"""Reads signals from Prometheus, decides a number of replicas, tells the resizer."""
