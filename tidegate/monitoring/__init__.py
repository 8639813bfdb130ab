"""What a replica records about its model: rows counted in the bins of the reference, and true labels."""
