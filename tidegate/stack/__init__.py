"""Local mode: the components on one machine, and their supervisor."""
