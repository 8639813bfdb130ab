"""Counts of rows in the bins of the reference, and how far they are from it."""
