"""Labels that arrive after the prediction."""
