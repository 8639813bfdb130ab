"""SLOQ: the smallest number of replicas that keeps a latency objective, by a queueing model."""
