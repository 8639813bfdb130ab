"""Set-up of Elasticsearch: roles, users, templates, data streams."""
