"""Exports metrics of Logstash and Elasticsearch, and stores Alertmanager's notifications as events."""
