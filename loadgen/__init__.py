"""The open-loop load generator: planning, sending, measuring and reporting."""
