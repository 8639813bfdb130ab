"""What the stack concludes about the model: the report, and changes of its error rate."""
