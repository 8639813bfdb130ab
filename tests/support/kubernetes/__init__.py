"""A real Kubernetes for tests, from the programs that scripts/kubernetes builds."""
