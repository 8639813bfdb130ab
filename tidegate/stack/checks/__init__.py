"""Checks before and between starts: ports, disk, programs, Docker Compose."""
