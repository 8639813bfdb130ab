"""A simulator of the service: a central queue before slots that come and go, and its metrics."""
