"""The only part that may start or stop replicas."""
