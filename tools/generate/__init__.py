"""Generates the committed files: rules and their tests, dashboards, Kibana objects, pages of the docs."""
