"""Mutation tests: which small faults in the code do the unit tests not notice?"""
