"""`tidegate verify`: checks each component of a running stack over its public interfaces."""
