"""What a run measured: its summary, plots, page and thresholds."""
