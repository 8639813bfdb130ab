"""`tidegate doctor`: what a deployment needs of the machine, and what to do about what is missing."""
