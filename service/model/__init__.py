"""A model: its artefact, its features, and how it predicts."""
