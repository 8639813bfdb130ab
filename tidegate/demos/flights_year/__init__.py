"""`tidegate demo-drift`: a year of flights sent through a running stack."""
