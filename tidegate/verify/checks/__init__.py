"""The checks of `tidegate verify`, one file per component."""
