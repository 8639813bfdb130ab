"""The resizer for Docker Compose: only it accesses the engine; a new replica is a copy of an existing one."""
