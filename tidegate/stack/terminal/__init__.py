"""What a person sees of the stack in a terminal."""
