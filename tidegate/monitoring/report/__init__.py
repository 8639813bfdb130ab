"""The report on a model: one page, from the store and Prometheus."""
