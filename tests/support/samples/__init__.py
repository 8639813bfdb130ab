"""Models, rows, requests and applications that several tests use."""
