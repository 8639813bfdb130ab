"""`tidegate retrain`: a candidate from newer rows, compared with the model that is served."""
