"""Rolling out a new model while the stack runs."""
