"""The generated files of the Helm chart: its schema, rules, dashboards and reference page."""
