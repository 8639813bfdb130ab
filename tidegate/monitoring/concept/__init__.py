"""Detection of concept drift: changes of the error rate."""
