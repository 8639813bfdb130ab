"""What a model takes: one class per `input` of a signature."""
