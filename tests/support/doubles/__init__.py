"""Stand-ins for what a test cannot or must not run for real."""
