"""The model service: a FastAPI application, its model, training and dataset."""

from importlib.metadata import version
from typing import Final

VERSION: Final = version("tidegate")
"""Version of the service's code; the model has its own."""
