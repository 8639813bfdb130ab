"""The commands of local mode and their output in a terminal."""
