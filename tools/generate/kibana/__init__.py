"""What Kibana shows at first login: data views, saved searches and a dashboard, each from one table."""
