"""Observability and autoscaling for machine-learning model services."""
