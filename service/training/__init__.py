"""Training of the flight-delay model."""
