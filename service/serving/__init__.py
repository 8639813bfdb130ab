"""One replica at work: its slots, its model, and what follows a response."""
