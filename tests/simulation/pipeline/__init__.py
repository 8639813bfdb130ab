"""The event pipeline in a simulated world: writers, collectors and what they deliver to."""
