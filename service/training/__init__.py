"""Training and retraining of the flight-delay model."""
