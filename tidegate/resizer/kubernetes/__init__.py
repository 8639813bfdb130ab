"""The resizer for Kubernetes: it sets the number of pods of a Deployment through its scale subresource."""
