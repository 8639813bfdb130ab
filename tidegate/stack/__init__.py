"""The embedded size: the components on one machine, and their supervisor."""
