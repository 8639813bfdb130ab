"""Writes observability/'s generated files, each from one table."""
