"""`tidegate verify`: asks each part of a running stack what a person would ask by clicking."""
