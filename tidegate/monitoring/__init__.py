"""The model's monitoring: what a replica records, and what is concluded from it."""
