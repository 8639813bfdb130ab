"""What a model predicts: all that depends on it, one file for each task."""
