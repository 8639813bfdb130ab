"""The secrets of the Compose stack."""
