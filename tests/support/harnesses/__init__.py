"""A part under test with its surroundings: its clock, its folders, what it has recorded."""
