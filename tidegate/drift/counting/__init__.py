"""Counting rows into the bins of the reference."""
