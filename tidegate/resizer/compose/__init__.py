"""The resizer of Docker Compose: it alone reaches the engine, and clones the replicas that are there."""
