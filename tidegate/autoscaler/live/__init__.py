"""The autoscaler as it runs: its loop, its signals, its metrics."""
