"""Concept drift: does the error rate change?"""
