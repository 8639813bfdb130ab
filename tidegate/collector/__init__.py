"""Carries event files into a sink, acknowledged: nothing lost, nothing twice."""
