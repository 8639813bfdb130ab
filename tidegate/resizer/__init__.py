"""The resizer: the only component that starts and stops replicas."""
