"""Replays recorded decisions, and compares them with another policy."""
