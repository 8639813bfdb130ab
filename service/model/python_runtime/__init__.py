"""Models in Python: a class with `predict(rows)`, in threads of the replica or in processes of its own."""
