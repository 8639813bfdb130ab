"""Generates committed files: rules and their tests, dashboards, objects of Kibana, pages of the docs."""
