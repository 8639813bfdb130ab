"""The same model on several serving engines, under the same load."""
