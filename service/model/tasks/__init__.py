"""What a model answers: one class per task."""
