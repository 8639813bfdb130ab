"""The replicas of local mode: their number, their slots, and the release that they serve."""
