"""The checks of the machine before a start, of one replica, and of each component of a running stack."""
