"""Sets up Elasticsearch: roles, users, templates, data streams."""
