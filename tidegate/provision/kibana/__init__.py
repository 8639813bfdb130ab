"""Sets up Kibana: data views, saved searches, the dashboard."""
