"""The report on a model: one page from the store, and from Prometheus' counters."""
