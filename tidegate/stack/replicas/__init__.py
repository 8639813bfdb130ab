"""The replicas of local mode: their number, their slots, and the model that they serve."""
