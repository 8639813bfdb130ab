"""A machine whose disk, clock, processes and scheduler belong to the test."""
