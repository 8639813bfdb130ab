"""Shared code of the benches that need a running stack."""
