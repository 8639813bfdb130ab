"""The name, type, labels and meaning of every exported metric, for docs/reference/metrics.md."""
