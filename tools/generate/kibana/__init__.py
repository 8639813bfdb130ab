"""Kibana's objects: data views, saved searches and the dashboard."""
