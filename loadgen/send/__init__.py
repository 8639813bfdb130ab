"""Sends the plan, open loop, and records each response."""
