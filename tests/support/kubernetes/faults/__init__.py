"""Ways of scaling side by side in one cluster, and faults for all of them at once."""
