"""Real programs as the tests start them."""
