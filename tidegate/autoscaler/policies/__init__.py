"""Policies other than SLOQ, as their authors define them."""
