"""True labels, which arrive after the prediction."""
