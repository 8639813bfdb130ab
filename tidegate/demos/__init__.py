"""Demonstrations: each runs the public commands in order and shows what they did."""
