"""Tells Prometheus about Logstash and Elasticsearch, and writes Alertmanager's alerts down as events."""
