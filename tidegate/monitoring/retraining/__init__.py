"""`tidegate retrain`: a candidate from newer rows, compared with the current model."""
