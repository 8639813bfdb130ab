"""What one request, event, series or decision costs: the figures behind docs/scaling.md."""
