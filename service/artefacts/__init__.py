"""How a model file becomes an artefact, and whether an artefact can be served."""
