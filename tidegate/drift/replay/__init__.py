"""The replay of a year of flights: real drift through a running stack, labels arriving late."""
