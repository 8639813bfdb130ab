"""The model service: a FastAPI application, its model, training and dataset."""
