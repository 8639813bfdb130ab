"""The configuration data under observability/, as the running components read it."""
