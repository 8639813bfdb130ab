"""Scaling policies compared on many traces and seeds, against the better HPA and what no scaler can avoid."""
