"""Explains recorded decisions, replays them, and compares them with another policy."""
