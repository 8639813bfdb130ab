"""`tidegate doctor`: checks that a machine meets the requirements of a deployment."""
