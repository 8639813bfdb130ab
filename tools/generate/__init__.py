"""Generates committed files: rules and their tests, dashboards, pages of the docs.

Not part of the wheel: an installation has no file to generate, and this needs Grafana's SDK. The rules come
from `tidegate/rules`, which the stack runs at each start.
"""
